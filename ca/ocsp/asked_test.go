package ocsp_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"certportal/ca"
	"certportal/ca/ocsp"
)

// TestQuestionsAreSampled: of any number of questions about a certificate one an hour is
// noted, by Refresh and not by the answer, also of those with a nonce; unknown serials
// never are.
func TestQuestionsAreSampled(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert, other, stranger := b.issued(), b.issued(), b.user()
	want := func(what string, asked ...ocsp.Asked) {
		t.Helper()
		if !slices.Equal(b.book.noted, asked) {
			t.Errorf("%s: got %v, want %v", what, b.book.noted, asked)
		}
	}
	b.mustRefresh()
	for range 1000 {
		b.ask(cert)
	}
	b.ask(stranger)
	want("before they are written")
	b.mustRefresh()
	first := ocsp.Asked{Serial: serialOf(t, cert), At: noon}
	want("the first", first)

	b.clock.pass(ocsp.AskedEvery - time.Second)
	b.ask(cert)
	b.mustRefresh()
	want("within the hour", first)
	b.clock.pass(time.Second)
	b.ask(cert)
	b.mustRefresh()
	second := ocsp.Asked{Serial: first.Serial, At: noon.Add(ocsp.AskedEvery)}
	want("an hour later", first, second)

	// The answer is made anew at half of its life, without a question.
	b.clock.pass(ocsp.DefaultLife / 2)
	b.mustRefresh()
	b.clock.pass(ocsp.DefaultLife / 2)
	b.mustRefresh()
	want("nothing was asked", first, second)

	b.Respond(t.Context(), draft{ids: [][]byte{singleOf(t, b.request(other, crypto.SHA256))}, extensions: [][]byte{nonced(t, 32)}}.build(t))
	b.mustRefresh()
	want("with a nonce", first, second, ocsp.Asked{Serial: serialOf(t, other), At: b.clock.Now()})
}

// TestF5_QuestionsWaitForTheRecords: while the store is down, answers go on and what was
// asked is written later, by serial.
func TestF5_QuestionsWaitForTheRecords(t *testing.T) {
	b := newBench(t, ca.ECP256)
	var certs []*x509.Certificate
	for range 3 {
		certs = append(certs, b.issued())
	}
	for _, cert := range certs {
		b.ask(cert)
	}
	b.book.breakDown(errors.New("gone"))
	if err := b.Refresh(t.Context()); err == nil || len(b.book.noted) != 0 {
		t.Errorf("while it is down: %v, noted %v", err, b.book.noted)
	}
	if h := b.Health(); h.Trouble == "noting questions about certificates: gone" {
		t.Error("the answers are reported as in trouble")
	}
	b.book.breakDown(nil)
	b.mustRefresh()
	slices.SortFunc(certs, func(a, b *x509.Certificate) int { return a.SerialNumber.Cmp(b.SerialNumber) })
	if len(b.book.noted) != len(certs) {
		t.Fatalf("noted %v", b.book.noted)
	}
	for i, a := range b.book.noted {
		if a.Serial != serialOf(t, certs[i]) || !a.At.Equal(noon) {
			t.Errorf("noted %v, want %x at noon", a, certs[i].SerialNumber)
		}
	}
}

// TestQuestionsAreWrittenByThemselves: the responder that runs writes them within a minute
// or so.
func TestQuestionsAreWrittenByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ca.ECP256)
		b.ask(b.issued())
		b.mustRefresh()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); b.Run(ctx) }()
		b.ask(b.issued())
		<-time.After(61 * time.Second) // of the bubble's clock
		synctest.Wait()
		if len(b.book.noted) != 2 {
			t.Errorf("noted %v", b.book.noted)
		}
		stop()
		<-ended
	})
}
