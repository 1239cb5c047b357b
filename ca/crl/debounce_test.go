package crl

import (
	"testing"
	"time"
)

func TestDebounce(t *testing.T) {
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	var p debounce
	steps := []struct {
		name    string
		at      time.Duration
		revoked bool
		want    time.Duration
	}{
		{"due by the clock", 0, false, 0},
		{"a revocation waits for others", 0, true, debounceTime},
		{"another comes", 300 * time.Millisecond, true, debounceTime - 300*time.Millisecond},
		{"they are gathered", debounceTime, true, 0},
	}
	for _, s := range steps {
		if got := p.wait(at(s.at), s.revoked); got != s.want {
			t.Errorf("%s: wait %v, want %v", s.name, got, s.want)
		}
	}
	p.ended(at(debounceTime), 10*time.Millisecond, false)
	if got, want := p.wait(at(debounceTime+100*time.Millisecond), true), 900*time.Millisecond; got != want {
		t.Errorf("after a short list: wait %v, want %v: one a second at most", got, want)
	}
	p.ended(at(0), 3*time.Second, false)
	if got, want := p.wait(at(3*time.Second), false), 3*time.Second; got != want {
		t.Errorf("after a list of 3s: wait %v, want %v", got, want)
	}
}

// A key that cannot be decrypted must not be tried every second: each try takes 64 MiB.
func TestDebounceAfterFailures(t *testing.T) {
	start := time.Now()
	var p debounce
	last := time.Duration(0)
	for range 20 {
		p.ended(start, time.Millisecond, true)
		wait := p.wait(start, false)
		if wait < last || wait > longestPause {
			t.Errorf("wait %v after %v, want it longer and at most %v", wait, last, longestPause)
		}
		last = wait
	}
	if last != longestPause {
		t.Errorf("wait %v in the end, want %v", last, longestPause)
	}
	p.ended(start, time.Millisecond, false)
	if got := p.wait(start, false); got != atMostEvery {
		t.Errorf("wait %v after a list was made, want %v", got, atMostEvery)
	}
}
