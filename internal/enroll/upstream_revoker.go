package enroll

import (
	"time"

	"certportal/ca"
)

// Who confirmed that another CA revoked a certificate.
const (
	ByCA       = "ca" // it was asked by its protocol
	ByOperator = "operator"
	ByRevoker  = "revoker" // the program on the host of a CA that cannot be asked
)

// RevokerReport is what the revoker of a CA says of one certificate.
type RevokerReport struct {
	Serial  ca.Serial
	Revoked bool
	Detail  string // why it is not revoked, for administrators
}

// UpstreamRevoker is what is known of the revoker of a CA.
type UpstreamRevoker struct {
	Authority string
	Asked     time.Time // when it last asked for its work; zero for never
	Open      int       // revocations that the CA did not confirm
	Since     time.Time // the oldest of these; zero without
}
