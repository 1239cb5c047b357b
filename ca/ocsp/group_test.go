package ocsp_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/ocsp"
)

// twoCAs are the benches of two issuing CAs, whose responders share an address.
func twoCAs(t *testing.T, group *ocsp.Group) (first, next *bench) {
	t.Helper()
	first = newBench(t, ca.ECP256)
	next = newBench(t, ca.RSA2048, func(c *ocsp.Config) { c.Name = "issuing-2" })
	group.Add(first.Responder)
	group.Add(next.Responder)
	return first, next
}

// Each CA answers about its own certificates, with its own signer.
func TestGroupAnswersForEachCA(t *testing.T) {
	var group ocsp.Group
	first, next := twoCAs(t, &group)
	for _, b := range []*bench{first, next} {
		cert := b.issued()
		got := b.read(group.Respond(t.Context(), b.request(cert, crypto.SHA256)).DER, cert)
		if got.Status != xocsp.Good || got.Certificate.CheckSignatureFrom(b.h.Issuing) != nil {
			t.Errorf("%s: status %d, signed by %s", b.h.Issuing.Subject, got.Status, got.Certificate.Issuer)
		}
	}
	a, b := first.issued(), next.issued()
	mixed := draft{ids: [][]byte{singleOf(t, first.request(a, crypto.SHA1)), singleOf(t, next.request(b, crypto.SHA1))}}.build(t)
	wantRefusal(t, "certificates of both", group.Respond(t.Context(), mixed), unauthorized)
	wantRefusal(t, "another issuer", group.Respond(t.Context(), stored(t, "other-issuer")), unauthorized)
	wantRefusal(t, "nothing", group.Respond(t.Context(), nil), malformed)
	group.Remove("issuing-2")
	wantRefusal(t, "a removed CA", group.Respond(t.Context(), next.request(b, crypto.SHA1)), unauthorized)
	if group.Has("issuing-2") || !group.Has("issuing") {
		t.Error("the removed responder is still there")
	}
}

// TestC5_SerialOfAnotherCA: a serial that another issuing CA has is unknown, also when the
// request names this CA.
func TestC5_SerialOfAnotherCA(t *testing.T) {
	b := newBench(t, ca.ECP256)
	cert := b.user()
	b.book.write(serialOf(t, cert), ocsp.Status{Issuer: "issuing-2", State: ocsp.Good})
	b.mustRefresh()
	if got := b.ask(cert).Status; got != xocsp.Unknown {
		t.Errorf("got %d, want unknown", got)
	}
}

// Responders are added, replaced and removed while others answer and the group starts
// and stops.
func TestGroupChangesWhileItRuns(t *testing.T) {
	var group ocsp.Group
	first, next := twoCAs(t, &group)
	cert := first.issued()
	for range 3 {
		ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		var all sync.WaitGroup
		all.Go(func() { group.Run(ctx) })
		all.Go(func() {
			for ctx.Err() == nil {
				group.Remove("issuing-2")
				group.Add(next.Responder)
				group.Nudge()
			}
		})
		all.Go(func() {
			for ctx.Err() == nil {
				checkGood(t, &group, first, cert)
			}
		})
		all.Wait()
		stop()
	}
}

func checkGood(t *testing.T, group *ocsp.Group, b *bench, cert *x509.Certificate) {
	t.Helper()
	got, err := xocsp.ParseResponseForCert(group.Respond(context.Background(), b.request(cert, crypto.SHA1)).DER, cert, b.h.Issuing)
	if err != nil || got.Status != xocsp.Good {
		t.Errorf("got %v, %v", got, err)
	}
}
