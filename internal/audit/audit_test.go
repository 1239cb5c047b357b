package audit_test

import (
	"testing"
	"time"

	"certportal/internal/audit"
)

func chain(n int) []audit.Entry {
	var head audit.Head
	entries := make([]audit.Entry, 0, n)
	for i := range n {
		var e audit.Entry
		e, head = head.Append(audit.Entry{
			At:     time.Date(2026, 11, 22, 12, 0, i, 123456789, time.UTC),
			Action: audit.CertificateIssued,
			Actor:  "p1", Role: "employee", Person: "p1", Object: "0a1b",
			Address: "192.0.2.7", Request: "r1",
			Detail: map[string]string{"upn": "anna@corp.example", "profile": "User"},
		})
		entries = append(entries, e)
	}
	return entries
}

// firstBreak returns the index of the first entry that does not follow, or -1.
func firstBreak(entries []audit.Entry) int {
	var head audit.Head
	for i, e := range entries {
		if !e.Follows(head) {
			return i
		}
		head = audit.Head{Seq: e.Seq, Hash: e.Hash}
	}
	return -1
}

func TestChainFollows(t *testing.T) {
	if got, want := firstBreak(chain(50)), -1; got != want {
		t.Errorf("first break at %d, want %d", got, want)
	}
}

func TestAppendCutsToMilliseconds(t *testing.T) {
	got, want := chain(1)[0].At.Nanosecond(), 123000000
	if got != want {
		t.Errorf("nanoseconds %d, want %d", got, want)
	}
}

func TestA19_EveryChangeShows(t *testing.T) {
	changes := []struct {
		name   string
		change func([]audit.Entry) []audit.Entry
	}{
		{"action", func(es []audit.Entry) []audit.Entry { es[3].Action = audit.SignedIn; return es }},
		{"actor", func(es []audit.Entry) []audit.Entry { es[3].Actor = "p2"; return es }},
		{"role", func(es []audit.Entry) []audit.Entry { es[3].Role = "admin"; return es }},
		{"person", func(es []audit.Entry) []audit.Entry { es[3].Person = "p2"; return es }},
		{"object", func(es []audit.Entry) []audit.Entry { es[3].Object = "ff"; return es }},
		{"address", func(es []audit.Entry) []audit.Entry { es[3].Address = ""; return es }},
		{"request", func(es []audit.Entry) []audit.Entry { es[3].Request = "r2"; return es }},
		{"time", func(es []audit.Entry) []audit.Entry { es[3].At = es[3].At.Add(time.Millisecond); return es }},
		{"detail value", func(es []audit.Entry) []audit.Entry {
			es[3].Detail = map[string]string{"upn": "bob@corp.example", "profile": "User"}
			return es
		}},
		{"detail dropped", func(es []audit.Entry) []audit.Entry { es[3].Detail = nil; return es }},
		{"detail moved between keys", func(es []audit.Entry) []audit.Entry {
			es[3].Detail = map[string]string{"upn": "anna@corp.exampleprofile", "": "User"}
			return es
		}},
		{"removed", func(es []audit.Entry) []audit.Entry { return append(es[:3:3], es[4:]...) }},
		{"swapped", func(es []audit.Entry) []audit.Entry { es[3], es[4] = es[4], es[3]; return es }},
		{"rehashed alone", func(es []audit.Entry) []audit.Entry {
			es[2].Actor = "p2"
			es[2].Hash = es[2].Sum()
			return es
		}},
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			if got, want := firstBreak(c.change(chain(6))), 3; got != want {
				t.Errorf("first break at %d, want %d", got, want)
			}
		})
	}
}
