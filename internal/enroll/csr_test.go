package enroll

import (
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// attribute is one of a request: a type and its values.
func attribute(id string, values ...string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(id)) })
		b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
			for _, v := range values {
				b.AddASN1(der.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(v)) })
			}
		})
	})
	return b.BytesOrPanic()
}

// requestWith is the signed part of a request (RFC 2986 section 4.1).
func requestWith(attributes ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(der.SEQUENCE, func(*cryptobyte.Builder) {})
		b.AddASN1(der.SEQUENCE, func(*cryptobyte.Builder) {})
		b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddBytes(slices.Concat(attributes...))
		})
	})
	return b.BytesOrPanic()
}

// A challenge that could be read in two ways is none.
func TestChallengePassword(t *testing.T) {
	const other = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
	for _, tt := range []struct {
		name    string
		request []byte
		want    string
		ok      bool
	}{
		{"none", requestWith(), "", true},
		{"one", requestWith(attribute(challengeAttribute, "abc")), "abc", true},
		{"behind another", requestWith(attribute(other, "x"), attribute(challengeAttribute, "abc")), "abc", true},
		{"twice", requestWith(attribute(challengeAttribute, "abc"), attribute(challengeAttribute, "def")), "", false},
		{"two values", requestWith(attribute(challengeAttribute, "abc", "def")), "", false},
		{"no value", requestWith(attribute(challengeAttribute)), "", false},
		{"not an attribute", requestWith([]byte{0x02, 0x01, 0x05}), "", false},
		{"not a request", []byte{0x30, 0x00}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := challengePassword(tt.request)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
