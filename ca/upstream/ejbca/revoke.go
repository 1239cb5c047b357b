package ejbca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// reasons are those of RFC 5280 section 5.3.1 in the words of EJBCA. 7 is unused, and 8
// would lift a hold.
func reasons() map[int]string {
	return map[int]string{
		0: "UNSPECIFIED", 1: "KEY_COMPROMISE", 2: "CA_COMPROMISE", 3: "AFFILIATION_CHANGED", 4: "SUPERSEDED",
		5: "CESSATION_OF_OPERATION", 6: "CERTIFICATE_HOLD", 9: "PRIVILEGES_WITHDRAWN", 10: "AA_COMPROMISE",
	}
}

// Revoke implements [upstream.CA]. It is an error that the revocation waits for approval.
func (c *CA) Revoke(ctx context.Context, r upstream.Revocation) error {
	reason := reasons()[r.Reason]
	if reason == "" {
		return fmt.Errorf("reason %d is none of a revocation: %w", r.Reason, upstream.ErrUnsent)
	}
	authority, err := c.authority(ctx)
	if err != nil {
		return err
	}
	path := c.path + "/v1/certificate/" + url.PathEscape(authority) + "/" + fmt.Sprintf("%x", r.Certificate.SerialNumber)
	reply, err := c.do(ctx, wire.Call{Method: http.MethodPut, Path: path + "/revoke?reason=" + reason})
	if denied, is := errors.AsType[*upstream.Denied](err); is {
		if denied.Code == "HTTP 409" {
			return nil // revoked before
		}
		if revoked, statusErr := c.revoked(ctx, path); statusErr == nil && revoked {
			return nil
		}
	}
	if err != nil {
		return err
	}
	if reply.Status == http.StatusAccepted {
		return errors.New("revocation waits for approval in EJBCA")
	}
	return parseRevoked(reply)
}

func parseRevoked(reply wire.Reply) error {
	var status struct {
		Revoked bool `json:"revoked"`
	}
	if err := reply.JSON(&status); err != nil {
		return err
	}
	if !status.Revoked {
		return errors.New("answer to the revocation says that the certificate is not revoked")
	}
	return nil
}

// revoked asks for the status of a certificate.
func (c *CA) revoked(ctx context.Context, path string) (bool, error) {
	reply, err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: path + "/revocationstatus"})
	if err != nil {
		return false, err
	}
	return parseRevoked(reply) == nil, nil
}

// authority gives the subject of the CA as EJBCA writes it, which differs from RFC 4514 in
// order and names.
func (c *CA) authority(ctx context.Context) (string, error) {
	reply, err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: c.path + "/v1/ca"})
	if err != nil {
		return "", err
	}
	var body struct {
		Authorities []struct {
			Name    string `json:"name"`
			Subject string `json:"subject_dn"`
		} `json:"certificate_authorities"`
	}
	if err := reply.JSON(&body); err != nil {
		return "", err
	}
	for _, one := range body.Authorities {
		if one.Name == c.config.Authority && one.Subject != "" {
			return one.Subject, nil
		}
	}
	return "", &upstream.Denied{
		Code: "v1/ca", Credentials: true,
		Text: "EJBCA shows the portal no CA of the configured name: compare the name, and the access rules of the portal's role",
	}
}

// Probe implements [upstream.CA]. It asks for the CA by its name, which EJBCA shows to roles
// with access to it only, and for its chain. It cannot say whether the profiles are right.
func (c *CA) Probe(ctx context.Context) ([]*x509.Certificate, error) {
	authority, err := c.authority(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := c.do(ctx, wire.Call{Method: http.MethodGet, Path: c.path + "/v1/ca/" + url.PathEscape(authority) + "/certificate/download"})
	if err != nil {
		return nil, err
	}
	return wire.ParsePEM(string(reply.Body))
}
