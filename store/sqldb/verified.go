package sqldb

import (
	"crypto/tls"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Unverified names the server of an address to which connections go over the network without
// verified TLS: who is between could read and change all records. It is empty when there is
// none: for a file, a socket, this machine, and sslmode=verify-full or verify-ca.
func Unverified(address string) string {
	if !isPostgres(address) {
		return ""
	}
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return "" // opening says why
	}
	if unverified(c.Host, c.TLSConfig) {
		return c.Host
	}
	for _, f := range c.Fallbacks {
		if unverified(f.Host, f.TLSConfig) {
			return f.Host
		}
	}
	return ""
}

func unverified(host string, c *tls.Config) bool {
	ip := net.ParseIP(host)
	switch {
	case host == "", strings.HasPrefix(host, "/"), strings.HasPrefix(host, "@"), host == "localhost", ip != nil && ip.IsLoopback():
		return false
	}
	return c == nil || c.InsecureSkipVerify && c.VerifyPeerCertificate == nil && c.VerifyConnection == nil
}
