package deliver

import (
	"crypto/sha1"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// maxIdentifier bounds an identifier in bytes, as a DNS name; the limit of devices is
// not documented.
const maxIdentifier = 253

// ValidIdentifier reports whether s is a valid identifier of a profile: two or more
// labels of ASCII letters, digits and hyphens, joined by dots.
func ValidIdentifier(s string) bool {
	labels := strings.Split(s, ".")
	if len(s) > maxIdentifier || len(labels) < 2 {
		return false
	}
	foreign := func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '-'
	}
	return !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || strings.ContainsFunc(label, foreign)
	})
}

// ReverseHost makes the identifier of a host in reverse DNS form: com.example.certs
// for certs.example.com. Hosts that are no name of at least two labels, such as IP
// addresses, are appended to "certportal".
func ReverseHost(host string) string {
	host = strings.ToLower(strings.Trim(host, "[]."))
	labels := strings.Split(host, ".")
	if _, err := netip.ParseAddr(host); err == nil || len(labels) < 2 {
		return "certportal." + strings.NewReplacer(".", "-", ":", "-", "%", "-").Replace(host)
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// nameUUID gives the UUID of a name: version 5 in the namespace of URLs (RFC 9562
// section 5.5), of the name as a URN. Version 5 demands SHA-1; security does not
// depend on it. Apple's tools write UUIDs in capitals.
func nameUUID(name string) string {
	// 6ba7b811-9dad-11d1-80b4-00c04fd430c8 (RFC 9562 section 6.6).
	h := sha1.New()
	h.Write([]byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8})
	h.Write([]byte("urn:certportal:profile:" + name))
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	s := strings.ToUpper(hex.EncodeToString(u))
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}
