package step

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-jose/go-jose/v4"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// maxPages bounds the list of provisioners: 100 on each page.
const maxPages = 10

// Probe implements [upstream.CA]. It asks for health, roots and intermediates, whether the
// provisioner is listed with the public half of the portal's key, and whether there is a
// CRL, without which revocation has no effect.
func (c *CA) Probe(ctx context.Context) ([]*x509.Certificate, error) {
	health, err := c.get(ctx, "/health")
	if err != nil {
		return nil, err
	}
	var said struct {
		Status string `json:"status"`
	}
	if err := health.JSON(&said); err != nil {
		return nil, err
	}
	if said.Status != "ok" {
		return nil, fmt.Errorf("health of the CA is %q", wire.Text(said.Status))
	}
	if err := c.checkProvisioner(ctx); err != nil {
		return nil, err
	}
	certs, err := c.certificates(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.crl(ctx); err != nil {
		return certs, fmt.Errorf("reading the CRL, which crl.enabled in ca.json switches on, "+
			"and without which a revoked certificate stays good everywhere: %w", err)
	}
	return certs, nil
}

// certificates reads roots and intermediates. step-ca before 0.28 has no list of the
// second.
func (c *CA) certificates(ctx context.Context) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, path := range []string{"/1.0/roots", "/1.0/intermediates"} {
		reply, err := c.get(ctx, path)
		if reply.Status == http.StatusNotFound && len(all) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		certs, err := parseCertificates(reply)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		all = append(all, certs...)
	}
	return all, nil
}

func parseCertificates(reply wire.Reply) ([]*x509.Certificate, error) {
	var listed struct {
		Certificates []string `json:"crts"`
	}
	if err := reply.JSON(&listed); err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, text := range listed.Certificates {
		certs, err := wire.ParsePEM(text)
		if err != nil {
			return nil, err
		}
		all = append(all, certs...)
	}
	if len(all) == 0 {
		return nil, errors.New("list of certificates is empty")
	}
	return all, nil
}

// provisioners is a page of the list. A provisioner of another type has other fields.
type provisioners struct {
	List []struct {
		Type string          `json:"type"`
		Name string          `json:"name"`
		Key  json.RawMessage `json:"key"`
	} `json:"provisioners"`
	Next string `json:"nextCursor"`
}

// checkProvisioner finds out whether step-ca will accept the portal's tokens: it lists the
// public keys of all provisioners.
func (c *CA) checkProvisioner(ctx context.Context) error {
	key, err := c.tokens.open()
	if err != nil {
		return fmt.Errorf("opening key of the provisioner: %w", err)
	}
	cursor := ""
	for range maxPages {
		reply, err := c.get(ctx, "/1.0/provisioners?limit=100&cursor="+url.QueryEscape(cursor))
		if err != nil {
			return err
		}
		var page provisioners
		if err := reply.JSON(&page); err != nil {
			return err
		}
		if page.has(c.tokens.provisioner, key) {
			return nil
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return &upstream.Denied{
		Code: "provisioner", Credentials: true,
		Text: "no JWK provisioner of step-ca has this name and the public half of this key",
	}
}

func (p provisioners) has(name string, key *jose.JSONWebKey) bool {
	for _, one := range p.List {
		var public jose.JSONWebKey
		if one.Type != "JWK" || one.Name != name || json.Unmarshal(one.Key, &public) != nil {
			continue
		}
		if public.KeyID == key.KeyID && samePublicKey(public, key) {
			return true
		}
	}
	return false
}
