package ocsp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/ocsp"
)

// TestC5_WhatIsSaid checks the table of SECURITY.md: never good for a certificate that was
// not signed, no status for one of another CA.
func TestC5_WhatIsSaid(t *testing.T) {
	b := newBench(t, ca.ECP256)
	good, reserved, stranger := b.issued(), b.user(), b.user()
	b.book.write(serialOf(t, reserved), ocsp.Status{})
	b.mustRefresh()
	for cert, want := range map[*x509.Certificate]int{good: xocsp.Good, reserved: xocsp.Unknown, stranger: xocsp.Unknown} {
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			got := b.read(b.Respond(t.Context(), b.request(cert, hash)).DER, cert)
			if got.Status != want || got.IssuerHash != hash {
				t.Errorf("got %d by %v, want %d by %v", got.Status, got.IssuerHash, want, hash)
			}
		}
	}
	wantRefusal(t, "another issuer", b.Respond(t.Context(), stored(t, "other-issuer")), unauthorized)
	mixed := draft{ids: [][]byte{singleOf(t, b.request(good, crypto.SHA1)), singleOf(t, stored(t, "plain"))}}.build(t)
	wantRefusal(t, "another issuer among ours", b.Respond(t.Context(), mixed), unauthorized)
	wantRefusal(t, "another hash", b.Respond(t.Context(), draft{ids: [][]byte{
		asked(t, certID(t, "\x2a\x86\x48\x86\xf7\x0d\x02\x05", 16, []byte{1})),
	}}.build(t)), unauthorized)
	wantRefusal(t, "nothing", b.Respond(t.Context(), nil), malformed)
}

// A reserved serial is good as soon as its certificate is signed, and not before.
func TestC5_ReservedThenSigned(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.user()
	b.book.write(serialOf(t, cert), ocsp.Status{})
	b.mustRefresh()
	if got := b.ask(cert).Status; got != xocsp.Unknown {
		t.Errorf("reserved: got %d", got)
	}
	b.book.write(serialOf(t, cert), ocsp.Status{State: ocsp.Good})
	if got := b.ask(cert).Status; got != xocsp.Good {
		t.Errorf("signed: got %d", got)
	}
}

func TestC5_KeptAnswersAreTheSame(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.issued()
	request := b.request(cert, crypto.SHA1)
	first := b.Respond(t.Context(), request)
	reads := b.book.asked()
	b.clock.pass(time.Hour)
	second := b.Respond(t.Context(), request)
	if !bytes.Equal(first.DER, second.DER) || b.book.asked() != reads {
		t.Error("the answer was made anew within its life")
	}
	if !second.ThisUpdate.Equal(noon) || !second.NextUpdate.Equal(noon.Add(ocsp.DefaultLife)) {
		t.Errorf("got %s until %s", second.ThisUpdate, second.NextUpdate)
	}
}

// TestA12_RevocationIsSeenAtOnce checks that an audit entry about a certificate drops its
// cached answers of every form, and no others.
func TestA12_RevocationIsSeenAtOnce(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert, other := b.issued(), b.issued()
	for _, c := range []*x509.Certificate{cert, other} {
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			b.Respond(t.Context(), b.request(c, hash))
		}
	}
	before := b.Respond(t.Context(), b.request(other, crypto.SHA1))
	b.clock.pass(time.Minute)
	b.revoke(cert, xocsp.AffiliationChanged)
	b.mustRefresh()
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		got := b.read(b.Respond(t.Context(), b.request(cert, hash)).DER, cert)
		if got.Status != xocsp.Revoked || got.RevocationReason != xocsp.AffiliationChanged || !got.RevokedAt.Equal(noon.Add(time.Minute)) {
			t.Errorf("%v: got %d, reason %d, at %s", hash, got.Status, got.RevocationReason, got.RevokedAt)
		}
	}
	if after := b.Respond(t.Context(), b.request(other, crypto.SHA1)); !bytes.Equal(before.DER, after.DER) {
		t.Error("another's answer was dropped")
	}
}

// TestA12_RevokedWhileRead revokes a certificate after its status was read and before it is
// cached, with the audit log followed before, between, or after: good must not stay.
func TestA12_RevokedWhileRead(t *testing.T) {
	for _, test := range []struct {
		name   string
		follow bool
	}{{"followed in between", true}, {"followed later", false}} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, ca.ECP256)
			cert := b.issued()
			b.book.meddle = func() {
				b.book.meddle = nil
				b.revoke(cert, xocsp.KeyCompromise)
				if test.follow {
					b.mustRefresh()
				}
			}
			b.ask(cert)
			b.mustRefresh()
			if got := b.ask(cert).Status; got != xocsp.Revoked {
				t.Errorf("got %d for good", got)
			}
		})
	}
}

// TestA12_AskedWhileRevoked sends concurrent requests while certificates are revoked one
// after the other: after the audit log was followed, none of them is good again.
func TestA12_AskedWhileRevoked(t *testing.T) {
	b := newBench(t, ca.ECP256)
	var certs []*x509.Certificate
	var requests [][]byte
	for range 30 {
		certs = append(certs, b.issued())
		requests = append(requests, b.request(certs[len(certs)-1], crypto.SHA1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var askers sync.WaitGroup
	defer askers.Wait()
	defer cancel()
	for range 4 {
		askers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				b.Respond(ctx, requests[i%len(requests)])
			}
		})
	}
	for i, cert := range certs {
		b.revoke(cert, 1)
		b.mustRefresh()
		for j, earlier := range certs[:i+1] {
			if got := b.ask(earlier).Status; got != xocsp.Revoked {
				t.Fatalf("after %d revocations certificate %d: got %d", i+1, j, got)
			}
		}
	}
}

// An audit log that grows all the time does not prevent answers.
func TestStatusReadOnABusyAuditLog(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.issued()
	b.book.meddle = func() {
		meddle := b.book.meddle
		b.book.meddle = nil
		b.issued()
		b.book.meddle = meddle
	}
	if got := b.ask(cert).Status; got != xocsp.Good {
		t.Errorf("got %d", got)
	}
	if got := b.Health().Kept; got != 0 {
		t.Errorf("kept %d", got)
	}
}

// TestA12_RestoredUnderneath checks that all answers are dropped when the audit log is
// shorter than it was.
func TestA12_RestoredUnderneath(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.issued()
	b.revoke(cert, 1)
	b.issued()
	b.mustRefresh()
	if got := b.ask(cert).Status; got != xocsp.Revoked {
		t.Fatalf("got %d", got)
	}
	b.book.restore(2, serialOf(t, cert), ocsp.Status{State: ocsp.Revoked, At: noon, Reason: 5})
	b.mustRefresh()
	if got := b.ask(cert); got.Status != xocsp.Revoked || got.RevocationReason != 5 {
		t.Errorf("got %d, reason %d: of the history before", got.Status, got.RevocationReason)
	}
	b.book.write(serialOf(t, cert), ocsp.Status{State: ocsp.Revoked, At: noon, Reason: 4})
	b.mustRefresh()
	if got := b.ask(cert); got.RevocationReason != 4 {
		t.Errorf("the new history is not followed: got reason %d", got.RevocationReason)
	}
}

// At half of their life, answers that were requested are renewed. The others are dropped
// at the end of their life.
func TestHalfLife(t *testing.T) {
	b := newBench(t, ca.ECP256)
	asked, idle := b.issued(), b.issued()
	b.ask(asked)
	b.ask(idle)
	b.clock.pass(ocsp.DefaultLife / 2)
	b.mustRefresh() // both were requested since they were made
	b.ask(asked)
	b.clock.pass(ocsp.DefaultLife / 2)
	b.mustRefresh()
	b.book.breakDown(errDown)
	if got := b.ask(asked); !got.ThisUpdate.Equal(noon.Add(ocsp.DefaultLife)) {
		t.Errorf("asked for: got an answer of %s", got.ThisUpdate)
	}
	if got := b.ask(idle); !got.ThisUpdate.Equal(noon.Add(ocsp.DefaultLife / 2)) {
		t.Errorf("not asked for: got an answer of %s", got.ThisUpdate)
	}
	b.book.breakDown(nil)
	b.clock.pass(2 * ocsp.DefaultLife)
	for range 4 {
		b.mustRefresh()
		b.clock.pass(ocsp.DefaultLife)
	}
	if got := b.Health().Kept; got != 0 {
		t.Errorf("%d answers that nobody asks for stay", got)
	}
}

// TestF5_RecordsDown takes the store down: cached statuses are served until their end, also
// with a nonce, and all other requests get tryLater at once.
func TestF5_RecordsDown(t *testing.T) {
	b := newBench(t, ca.ECP256)
	kept, cold := b.issued(), b.issued()
	b.ask(kept)
	b.clock.pass(time.Minute)
	b.mustRefresh()
	b.book.breakDown(errDown)
	b.clock.pass(time.Hour)
	if err := b.Refresh(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("refreshing: got %v", err)
	}
	if got := b.ask(kept); got.Status != xocsp.Good || !got.ThisUpdate.Equal(noon) {
		t.Errorf("got %d of %s", got.Status, got.ThisUpdate)
	}
	nonce := draft{ids: [][]byte{singleOf(t, b.request(kept, crypto.SHA1))}, extensions: [][]byte{nonced(t, 16)}}.build(t)
	if got := b.read(b.Respond(t.Context(), nonce).DER, kept); !got.ThisUpdate.Equal(noon.Add(time.Minute)) {
		t.Errorf("with a nonce: true as of %s, was last seen to be at 12:01", got.ThisUpdate)
	}
	reads := b.book.asked()
	wantRefusal(t, "not kept", b.Respond(t.Context(), b.request(cold, crypto.SHA1)), tryLater)
	if b.book.asked() != reads {
		t.Error("the records that do not answer were asked")
	}
	health := b.Health()
	if health.Trouble == "" || !health.Since.Equal(noon.Add(time.Hour+time.Minute)) || !health.Followed.Equal(noon.Add(time.Minute)) {
		t.Errorf("health: %q since %s, followed %s", health.Trouble, health.Since, health.Followed)
	}
	b.clock.pass(7 * time.Hour)
	wantRefusal(t, "past its end", b.Respond(t.Context(), b.request(kept, crypto.SHA1)), tryLater)

	b.book.breakDown(nil)
	b.mustRefresh()
	if got := b.ask(cold).Status; got != xocsp.Good {
		t.Errorf("after the outage: got %d", got)
	}
	if got := b.Health().Trouble; got != "" {
		t.Errorf("after the outage: trouble %q", got)
	}
}

// TestF8_ClockSteps steps the clock: no answer is from the future, none is served after its
// end, and all is well when the clock is right again.
func TestF8_ClockSteps(t *testing.T) {
	const day = 24 * time.Hour
	b := newBench(t, ca.ECP256)
	cert := b.issued()
	for _, step := range []time.Duration{0, day, -day, 400 * day, -400 * day, -30 * time.Minute, 30 * time.Minute, 10 * time.Hour, -time.Second} {
		b.clock.pass(step)
		now := b.clock.Now()
		for range 2 { // before the responder follows the audit log, and after
			for _, request := range [][]byte{
				b.request(cert, crypto.SHA1),
				draft{ids: [][]byte{singleOf(t, b.request(cert, crypto.SHA1))}, extensions: [][]byte{nonced(t, 16)}}.build(t),
			} {
				raw := b.Respond(t.Context(), request).DER
				if string(raw) == tryLater {
					continue
				}
				got := b.read(raw, cert)
				if got.ThisUpdate.After(now) || got.ProducedAt.After(now) || !got.NextUpdate.After(now) || got.ThisUpdate.After(got.ProducedAt) {
					t.Errorf("step %s to %s: got %s, %s to %s", step, now, got.ProducedAt, got.ThisUpdate, got.NextUpdate)
				}
				if now.Before(got.Certificate.NotBefore) || got.NextUpdate.After(got.Certificate.NotAfter) {
					t.Errorf("step %s to %s: signer from %s to %s", step, now, got.Certificate.NotBefore, got.Certificate.NotAfter)
				}
			}
			b.mustRefresh()
		}
		if got := b.ask(cert); got.Status != xocsp.Good {
			t.Errorf("step %s: got %d", step, got.Status)
		}
	}
}

// TestSignerIsRenewed checks that a new signer is made at half of the old one's life, that
// answers of the old one stay valid, and that no answer outlives its signer.
func TestSignerIsRenewed(t *testing.T) {
	b := newBench(t, ca.ECP256, func(c *ocsp.Config) { c.Life = 240 * time.Hour })
	cert := b.issued()
	first := b.Health()
	b.ask(cert)
	b.clock.pass(14 * 24 * time.Hour)
	b.mustRefresh()
	if got := b.Health().Signer; !got.Equal(first.Signer) {
		t.Error("renewed before half of its life")
	}
	b.clock.set(first.Renews)
	b.mustRefresh()
	second := b.Health()
	if second.Signer.Equal(first.Signer) || bytes.Equal(second.Signer.RawSubjectPublicKeyInfo, first.Signer.RawSubjectPublicKeyInfo) {
		t.Error("not renewed, or with the same key")
	}
	// Renewal fails from now on: answers end with their signer, and a warning is logged.
	b.sealed = errors.New("the CA is sealed")
	lines := b.log.lines()
	b.clock.set(second.Signer.NotAfter.Add(-5 * 24 * time.Hour))
	if err := b.Refresh(t.Context()); !errors.Is(err, b.sealed) {
		t.Errorf("renewing: got %v", err)
	}
	if got := b.ask(cert); !got.NextUpdate.Equal(second.Signer.NotAfter) {
		t.Errorf("got until %s, the signer ends %s", got.NextUpdate, second.Signer.NotAfter)
	}
	if got := b.Health(); got.Trouble == "" || got.Signer == nil {
		t.Errorf("health: %+v", got)
	}
	for range 10 {
		_ = b.Refresh(t.Context())
	}
	if got := b.log.lines() - lines; got != 2 { // the error, and the warning of the end
		t.Errorf("got %d lines for one trouble", got)
	}
	b.clock.set(second.Signer.NotAfter)
	wantRefusal(t, "no signer", b.Respond(t.Context(), b.request(cert, crypto.SHA1)), tryLater)
	b.sealed = nil
	b.mustRefresh()
	if got := b.ask(cert).Status; got != xocsp.Good {
		t.Errorf("after the trouble: got %d", got)
	}
}

// TestF8_WrongClockSignsNoAnswers: an answer of a machine that is days ahead could be kept, and
// say good after its certificate was revoked. What was signed before is served.
func TestF8_WrongClockSignsNoAnswers(t *testing.T) {
	var wrong atomic.Bool
	b := newBench(t, ca.ECP256, func(c *ocsp.Config) {
		c.Hold = func() error {
			if wrong.Load() {
				return errors.New("this machine's clock is ahead")
			}
			return nil
		}
	})
	kept, cold := b.issued(), b.issued()
	b.ask(kept)
	wrong.Store(true)
	wantRefusal(t, "not kept", b.Respond(t.Context(), b.request(cold, crypto.SHA1)), tryLater)
	if got := b.ask(kept).Status; got != xocsp.Good {
		t.Errorf("kept: got %d", got)
	}
	wrong.Store(false)
	if got := b.ask(cold).Status; got != xocsp.Good {
		t.Errorf("with the right clock: got %d", got)
	}
}

func TestSealedCA(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.issued()
	b.sealed = errors.New("the CA is sealed")
	sealed := b.responder(b.book)
	if err := sealed.Refresh(t.Context()); !errors.Is(err, b.sealed) {
		t.Errorf("got %v", err)
	}
	wantRefusal(t, "sealed", sealed.Respond(t.Context(), b.request(cert, crypto.SHA1)), tryLater)
	if got := sealed.Health(); got.Signer != nil || got.Trouble == "" || !got.Since.Equal(noon) {
		t.Errorf("health: %+v", got)
	}
}

// A revoked signer is replaced, and no answer that it signed is served any more.
func TestRevokedSigner(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.issued()
	b.ask(cert)
	signer := b.Health().Signer
	b.book.write(serialOf(t, signer), ocsp.Status{State: ocsp.Good}) // as the portal records it
	b.mustRefresh()
	if got := b.Health().Signer; !got.Equal(signer) {
		t.Error("replaced when it was recorded")
	}
	b.revoke(signer, xocsp.KeyCompromise)
	b.mustRefresh()
	if got := b.ask(cert).Certificate; got.Equal(signer) {
		t.Error("the revoked signer goes on")
	}
	if got := b.ask(signer).Status; got != xocsp.Revoked {
		t.Errorf("the signer itself: got %d", got)
	}
}

// TestA17_StrangeNumbers asks for certificates that do not exist, and checks that this uses
// no memory and writes no log line.
func TestA17_StrangeNumbers(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.issued()
	b.ask(cert)
	template := b.request(cert, crypto.SHA1)
	serial := serialOf(t, cert).Big().Bytes()
	at := bytes.LastIndex(template, serial)
	lines := b.log.lines()
	for i := range 3000 {
		request := bytes.Clone(template)
		request[at+1], request[at+2], request[at+3] = byte(i), byte(i>>8), ^request[at+3]
		if got := b.Respond(t.Context(), request); got.NextUpdate.Sub(got.ThisUpdate) > 5*time.Minute {
			t.Fatalf("unknown until %s", got.NextUpdate)
		}
		b.Respond(t.Context(), request[:i%len(request)])
	}
	if got := b.Health().Kept; got != 1 {
		t.Errorf("got %d certificates in memory, want the one that exists", got)
	}
	if got := b.log.lines() - lines; got != 0 {
		t.Errorf("got %d lines of log", got)
	}
}

// TestA17_MemoryOfAnswers measures the memory of one certificate in the cache. Their number
// is bounded, see TestA17_NoMoreThanTheBound.
func TestA17_MemoryOfAnswers(t *testing.T) {
	const certificates = 10_000
	b := newBench(t, ca.ECP256)
	cert := b.user()
	template, serial := b.request(cert, crypto.SHA1), serialOf(t, cert).Big().Bytes()
	at := bytes.LastIndex(template, serial)
	for i := range certificates {
		serial[1], serial[2] = byte(i), byte(i>>8)
		number, err := ca.SerialOf(new(big.Int).SetBytes(serial))
		if err != nil {
			t.Fatal(err)
		}
		b.book.statuses[number] = ocsp.Status{State: ocsp.Good}
	}
	before := heap()
	for i := range certificates {
		template[at+1], template[at+2] = byte(i), byte(i>>8)
		if got := b.Respond(t.Context(), template); got.NextUpdate.IsZero() {
			t.Fatalf("certificate %d: got %x", i, got.DER)
		}
	}
	each := (heap() - before) / certificates
	t.Logf("%d octets for each of %d certificates", each, b.Health().Kept)
	if each > 1000 || b.Health().Kept != certificates {
		t.Errorf("got %d octets for each of %d certificates, want at most 1000", each, b.Health().Kept)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestNewRefuses(t *testing.T) {
	b := newBench(t, ca.ECP256)
	for _, test := range []struct {
		name   string
		change func(*ocsp.Config)
	}{
		{"no records", func(c *ocsp.Config) { c.Store = nil }},
		{"no CA", func(c *ocsp.Config) { c.Issuing = nil }},
		{"nobody to certify", func(c *ocsp.Config) { c.Certify = nil }},
		{"life too short", func(c *ocsp.Config) { c.Life = time.Minute }},
		{"life too long", func(c *ocsp.Config) { c.Life = 241 * time.Hour }},
		{"half a second", func(c *ocsp.Config) { c.Life = time.Hour + time.Second/2 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := ocsp.Config{Store: b.book, Issuing: b.h.Issuing, Certify: b.certify}
			test.change(&c)
			if _, err := ocsp.New(c); err == nil {
				t.Error("got a responder")
			}
		})
	}
}
