package fetch_test

import (
	"crypto/x509"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"certportal/ca/fetch"
	"certportal/internal/test/testkit"
)

// TestScope has lists with an IssuingDistributionPoint, as AD CS makes them.
func TestScope(t *testing.T) {
	type scope struct {
		paths []string
		more  func(*cryptobyte.Builder)
	}
	for _, test := range []struct {
		name   string
		points [][]string
		lists  map[string]scope
		state  fetch.State
		text   string
	}{
		{"CAs only", [][]string{{"/a"}}, map[string]scope{"/a": {nil, flag(2)}}, fetch.Good, "of certificates of authorities"},
		{"users only", [][]string{{"/a"}}, map[string]scope{"/a": {nil, flag(1)}}, fetch.Failed, "do not cover"},
		{"attributes only", [][]string{{"/a"}}, map[string]scope{"/a": {nil, flag(5)}}, fetch.Failed, "do not cover"},
		{"users and CAs apart", [][]string{{"/a"}, {"/b"}}, map[string]scope{"/a": {nil, flag(1)}, "/b": {nil, flag(2)}}, fetch.Good, "authorities"},
		{"indirect", [][]string{{"/a"}}, map[string]scope{"/a": {nil, flag(4)}}, fetch.Failed, "indirect"},
		{"named as fetched", [][]string{{"/a"}}, map[string]scope{"/a": {[]string{"/a"}, nil}}, fetch.Good, "one partition"},
		{"named by another name of the point", [][]string{{"ldap:///CN=x", "/a"}}, map[string]scope{"/a": {[]string{"ldap:///CN=x"}, nil}}, fetch.Good, "partition"},
		{"named elsewhere", [][]string{{"/a"}}, map[string]scope{"/a": {[]string{"/b"}, nil}}, fetch.Failed, "a partition that the certificate does not name"},
		{"the other point's partition", [][]string{{"/a"}, {"/b"}}, map[string]scope{"/a": {[]string{"/b"}, nil}, "/b": {[]string{"/b"}, nil}}, fetch.Failed, "/a: it is a partition"},
		{"two partitions", [][]string{{"/a"}, {"/b"}}, map[string]scope{"/a": {[]string{"/a"}, nil}, "/b": {[]string{"/b"}, nil}}, fetch.Good, "partition"},
		{"two partitions, one is missing", [][]string{{"/a"}, {"/b"}}, map[string]scope{"/a": {[]string{"/a"}, nil}}, fetch.Failed, "/b: it answers 404"},
		{"two whole lists, one is missing", [][]string{{"/a"}, {"/b"}}, map[string]scope{"/a": {nil, flag(2)}}, fetch.Warning, "/b: it answers 404"},
		{"some reasons", [][]string{{"/a"}}, map[string]scope{"/a": {nil, reasons(0x7e, 0)}}, fetch.Failed, "for every reason"},
		{"all reasons by two lists", [][]string{{"/a"}, {"/b"}}, map[string]scope{"/a": {nil, reasons(0x7e, 0)}, "/b": {nil, reasons(1, 0x80)}}, fetch.Good, "some reasons"},
		{"the other reasons are missing", [][]string{{"/a"}, {"/b"}}, map[string]scope{"/a": {nil, reasons(0x7e, 0)}}, fetch.Failed, "/b: it answers 404"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCompany(t, test.points...)
			for path, s := range test.lists {
				c.files[path] = c.list(with(c.scope(s.paths, s.more)))
			}
			c.expect(test.state, test.text)
		})
	}
}

// A partition that names the certificate revokes it, wherever it was found.
func TestRevokedInPartition(t *testing.T) {
	c := newCompany(t, []string{"/a"}, []string{"/b"})
	c.files["/a"] = c.list(with(c.scope([]string{"/a"}, nil)))
	c.files["/b"] = c.list(func(l *x509.RevocationList) {
		c.revoked(4)(l)
		with(c.scope([]string{"/b"}, nil))(l)
	})
	if got := c.expect(fetch.Failed, "revoked it"); got.Revoked == nil || got.Revoked.Reason != 4 {
		t.Errorf("got %+v", got.Revoked)
	}
	testkit.Equal(t, "points", len(c.fetch().Points), 2)
}
