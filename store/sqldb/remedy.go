package sqldb

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// advise puts the next step of an operator behind the error of opening a PostgreSQL database.
func advise(err error) error {
	if next := remedy(err); next != "" {
		return fmt.Errorf("%w; %s", err, next)
	}
	return err
}

// remedy is empty where the error says it itself. Codes are those of PostgreSQL appendix A.
func remedy(err error) string {
	switch sqlState(err) {
	case "28P01", "28000":
		return "check user, password and database in the address, and pg_hba.conf on the server"
	case "3D000":
		return "make it: CREATE DATABASE certportal OWNER certportal ENCODING 'UTF8' TEMPLATE template0"
	case "42501":
		return "make the portal's account owner of the database: ALTER DATABASE certportal OWNER TO certportal"
	case "53300":
		return "all connections of the server are taken: raise max_connections there, or see docs/replicas.md for how many a portal takes"
	case "57P01", "57P02", "57P03":
		return "the server starts or stops: try again in a minute, and read its log if it stays so"
	case "":
		return networkRemedy(err)
	}
	return ""
}

func networkRemedy(err error) string {
	var unknown *net.DNSError
	var network *net.OpError
	var connect *pgconn.ConnectError
	var issuer x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "check the name of the server in the address, and the DNS of this machine"
	case errors.As(err, &issuer):
		return "put sslrootcert=FILE into the address, with the root of the server's certificate"
	case errors.As(err, &name), errors.As(err, &invalid):
		return "give the server a certificate that is valid for the name in the address"
	case errors.As(err, &connect) && (errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded)):
		return "check that PostgreSQL runs at this address and port, and that a firewall lets this machine in"
	}
	return ""
}
