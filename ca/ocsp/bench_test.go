package ocsp_test

import (
	"crypto"
	"testing"

	"certportal/ca"
	"certportal/ca/ocsp"
)

// BenchmarkRespond measures an answer without the network: from the cache, signed with a
// nonce by either kind of key, for ten certificates, and for an unknown serial.
func BenchmarkRespond(b *testing.B) {
	r := newBench(b, ca.ECP256)
	cert := r.issued()
	plain := r.request(cert, crypto.SHA1)
	ten := make([][]byte, 10)
	for i := range ten {
		ten[i] = singleOf(b, r.request(r.issued(), crypto.SHA1))
	}
	withNonce := draft{ids: [][]byte{singleOf(b, plain)}, extensions: [][]byte{nonced(b, 32)}}.build(b)
	respond := func(name string, r *ocsp.Responder, request []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if got := r.Respond(b.Context(), request); len(got.DER) < 100 {
						b.Errorf("got %x", got.DER)
					}
				}
			})
		})
	}
	respond("kept", r.Responder, plain)
	respond("nonce", r.Responder, withNonce)
	respond("ten", r.Responder, draft{ids: ten}.build(b))
	respond("unknown", r.Responder, r.request(r.user(), crypto.SHA1))

	rsa := r.responder(r.book, func(c *ocsp.Config) { c.Key = ca.RSA2048 })
	if err := rsa.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	respond("nonce by RSA", rsa, withNonce)
}
