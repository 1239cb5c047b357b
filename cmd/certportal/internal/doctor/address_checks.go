package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/deliver"
	"certportal/internal/portal"
)

// The public addresses are fetched as a mail server does: over plain http, without a
// proxy, and without following redirections, which not every server follows.
const (
	addressTimeout = 5 * time.Second
	maxBody        = 256 << 20 // bytes; a list of a million entries has 40 MB

	// maxParsed bounds a list that is not the one in force and is read to say why.
	maxParsed = 8 << 20
)

// addressChecks fetch the addresses in certificates, from this server.
func (d *Doctor) addressChecks() []check {
	needs := []part{database, authority, server}
	reached := append(slices.Clone(needs), plain)
	return []check{
		{name: "address-crl", group: admin.AddressGroup, needs: needs, run: d.checkCRLAddresses},
		{name: "address-ocsp", group: admin.AddressGroup, needs: reached, run: d.checkOCSPAddress},
		{name: "address-ca", group: admin.AddressGroup, needs: reached, run: d.checkCertificateAddresses},
	}
}

// response is what an address answered.
type response struct {
	body []byte
	kind string // media type
	took time.Duration
}

// get asks an address; a body goes along with POST.
func get(ctx context.Context, address, kind string, body []byte) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, addressTimeout)
	defer cancel()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	began := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return response{}, fmt.Errorf("it answers %s", resp.Status)
	}
	f := response{}
	f.kind, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	f.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	f.took = time.Since(began).Round(time.Millisecond)
	return f, err
}

// checkCRLAddresses fetches the lists that certificates point to.
func (d *Doctor) checkCRLAddresses(ctx context.Context) []portal.Finding {
	var looks []func() portal.Finding
	unreached := d.reach(ctx)
	for _, h := range d.c.Lists.Health() {
		name := h.Issuer
		if h.Delta {
			name += crl.DeltaSuffix
		}
		for _, address := range d.crlAddresses(name) {
			if unreached != nil && d.isPublic(address) {
				continue // reported once
			}
			looks = append(looks, func() portal.Finding { return d.checkCRLAddress(ctx, name, address) })
		}
	}
	list := inParallel(looks)
	if unreached != nil {
		list = append(list, d.unreached(unreached))
	}
	return list
}

// inParallel fetches several addresses at once, so that a slow one does not use up the
// time of the next.
func inParallel(looks []func() portal.Finding) []portal.Finding {
	list := make([]portal.Finding, len(looks))
	var looking sync.WaitGroup
	for i, look := range looks {
		looking.Go(func() { list[i] = look() })
	}
	looking.Wait()
	return list
}

func (d *Doctor) checkCRLAddress(ctx context.Context, name, address string) portal.Finding {
	got, err := get(ctx, address, "", nil)
	if err != nil {
		return portal.Finding{What: address, State: portal.FindingFailed, Text: err.Error()}
	}
	said, right := d.compareCRL(name, got)
	switch {
	case !right:
		return portal.NewFinding(address, portal.FindingFailed, said)
	case got.kind != deliver.TypeCRL:
		return portal.NewFinding(address, portal.FindingWarning, portal.Say("address-crl-type", "the list is right; its media type is %q, not %s", got.kind, deliver.TypeCRL))
	}
	return portal.NewFinding(address, portal.FindingOK, said)
}

// crlAddresses are the CRL addresses of new certificates; for the root also those of
// the issuing CA's certificate.
func (d *Doctor) crlAddresses(name string) []string {
	addresses := []string{localca.CRLURL(d.c.Public.HTTP, name)}
	if name == localca.RootName {
		for _, of := range d.c.CA.Line.All() {
			addresses = append(addresses, of.Certificate.CRLDistributionPoints...)
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// compareCRL compares a fetched CRL with the current one, and reports whether it may be there.
func (d *Doctor) compareCRL(name string, got response) (said portal.Sentence, right bool) {
	held, ok := d.c.Lists.CRL(name)
	if ok && bytes.Equal(got.body, held.DER) {
		return portal.Say("address-crl", "number %d, the one in force, in %v", held.Number, got.took), true
	}
	if len(got.body) > maxParsed {
		return portal.Say("address-crl-large", "another list of %d bytes than the one in force, number %d", len(got.body), held.Number), false
	}
	there, err := x509.ParseRevocationList(got.body)
	if err != nil {
		return portal.Say("address-crl-no-list", "what is there is no revocation list"), false
	}
	if err := there.CheckSignatureFrom(d.crlSigner(name)); err != nil {
		return portal.Say("address-crl-other", "a list that another authority signed"), false
	}
	if !there.Number.IsInt64() || there.Number.Int64() < held.Number {
		return portal.Say("address-crl-old", "an old list, number %v; in force is %d: something on the way keeps copies for too long", there.Number, held.Number), false
	}
	return portal.Say("address-crl-newer", "number %v, newer than the one this server knows, in %v", there.Number, got.took), true
}

// crlSigner is the CA that signs the list of the name.
func (d *Doctor) crlSigner(name string) *x509.Certificate {
	return d.c.CA.Signers()[strings.TrimSuffix(name, crl.DeltaSuffix)]
}

// checkOCSPAddress asks for the state of the portal's own TLS certificate.
func (d *Doctor) checkOCSPAddress(ctx context.Context) []portal.Finding {
	if d.c.Outside == nil && d.c.OCSP() == nil {
		return []portal.Finding{portal.NewFinding("OCSP", portal.FindingOK, portal.Say("address-ocsp-none", "nothing is answered online"))}
	}
	address := localca.OCSPURL(d.c.Public.HTTP)
	status, took, err := d.askOCSP(ctx, address, d.someCertificate())
	if err != nil {
		return []portal.Finding{{What: address, State: portal.FindingFailed, Text: err.Error()}}
	}
	until := status.NextUpdate.In(d.c.Settings.Location()).Format(time.DateTime + " MST")
	if !d.c.Now().Before(status.NextUpdate) {
		return []portal.Finding{portal.NewFinding(address, portal.FindingFailed, portal.Say("address-ocsp-old", "an old answer: it ended at %s", until))}
	}
	return []portal.Finding{portal.NewFinding(address, portal.FindingOK,
		portal.Say("address-ocsp", "%s, signed by %s, valid until %s, in %v", statusWord(status.Status), signedBy(status), until, took))}
}

// someCertificate is the certificate to ask about. If another CA issued the TLS
// certificate, the answer is unknown, which shows that the responder works, too.
func (d *Doctor) someCertificate() *x509.Certificate {
	if served := d.c.TLS(); served != nil {
		return served
	}
	active, _ := d.c.CA.Line.Active()
	return active.Certificate
}

// issuerOf is the issuing CA to ask about a certificate: its own, or for one of another CA
// the active one; nil without.
func (d *Doctor) issuerOf(cert *x509.Certificate) *x509.Certificate {
	if cert == nil {
		return nil
	}
	of, ok := d.c.CA.Line.Of(cert)
	if !ok {
		of, ok = d.c.CA.Line.Active()
	}
	if !ok {
		return nil
	}
	return of.Certificate
}

// askOCSP asks an address about a certificate, and verifies the answer.
func (d *Doctor) askOCSP(ctx context.Context, address string, cert *x509.Certificate) (*ocsp.Response, time.Duration, error) {
	issuing := d.issuerOf(cert)
	if issuing == nil {
		return nil, 0, errors.New("no issuing CA is active")
	}
	question, err := ocsp.CreateRequest(cert, issuing, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("making a request: %w", err)
	}
	got, err := get(ctx, address, "application/ocsp-request", question)
	if err != nil {
		return nil, 0, err
	}
	status, err := ocsp.ParseResponseForCert(got.body, cert, issuing)
	if err != nil {
		return nil, 0, fmt.Errorf("verifying the answer: %w", err)
	}
	return status, got.took, nil
}

func statusWord(status int) string {
	switch status {
	case ocsp.Good:
		return "good"
	case ocsp.Revoked:
		return "revoked"
	}
	return "unknown"
}

func signedBy(status *ocsp.Response) string {
	if status.Certificate == nil {
		return "the authority itself"
	}
	return status.Certificate.Subject.CommonName
}

// checkCertificateAddresses fetches the certificates that clients build chains with.
func (d *Doctor) checkCertificateAddresses(ctx context.Context) []portal.Finding {
	look := func(name string, want *x509.Certificate) func() portal.Finding {
		return func() portal.Finding {
			address := localca.CertificateURL(d.c.Public.HTTP, name)
			got, err := get(ctx, address, "", nil)
			if err == nil && !bytes.Equal(got.body, want.Raw) {
				return portal.NewFinding(address, portal.FindingFailed, portal.Say("address-ca-other", "another certificate than that of %s", want.Subject.CommonName))
			}
			return found(address, err, portal.Say("address-ca", "%s, in %v", ca.Fingerprint(want), got.took))
		}
	}
	var all []func() portal.Finding
	if d.c.CA.Folder.OwnRoot() {
		all = append(all, look(localca.RootName, d.c.CA.Folder.Root())) // named in the issuing CA's certificate
	}
	for _, of := range d.c.CA.Line.All() {
		all = append(all, look(of.Name, of.Certificate))
	}
	return inParallel(all)
}
