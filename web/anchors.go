package web

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/ca"
	"certportal/internal/deliver"
	"certportal/internal/portal"
	"certportal/web/page"
)

// anchorMaxAge is how long caches may keep an anchor: it changes with a new CA only.
const anchorMaxAge = time.Hour

// Anchor is a CA certificate that anyone may download.
type Anchor struct {
	// Name is the file name under /ca/ without its ending: "root" and "issuing"
	// for the portal's own, else a short name of a-z, 0-9 and hyphens.
	Name string

	Cert    *x509.Certificate
	Own     bool // of this portal, not a further root
	Issuing bool // signs certificates of people; not a root
	Former  bool // another issuing CA issues now, or it does not issue yet
}

// title is the name shown for the certificate.
func (a Anchor) title() string {
	if a.Cert.Subject.CommonName != "" {
		return a.Cert.Subject.CommonName
	}
	return a.Cert.Subject.String()
}

// href is the address of the certificate, ext "cer" or "pem".
func (a Anchor) href(ext string) string { return "/ca/" + a.Name + "." + ext }

// anchors is the set of them, with the files made from it.
type anchors struct {
	all     []Anchor
	further []Anchor // roots of other CAs
	pem     []byte   // own chain, nearest first
	pkcs7   []byte

	roots   []*x509.Certificate // trust anchors in profiles of phones
	foreign []*x509.Certificate // trust anchors in profiles of Macs
}

// SetAnchors replaces the certificates under /ca and in profiles, after another issuing CA
// was added or became active.
func (s *Server) SetAnchors(all []Anchor) error {
	set, err := newAnchors(all)
	if err == nil {
		s.trust.Store(&set)
	}
	return err
}

// anchors gives the CA certificates of now.
func (s *Server) anchors() *anchors { return s.trust.Load() }

// newAnchors refuses names that cannot be addresses, or that clash.
func newAnchors(all []Anchor) (anchors, error) {
	name := regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	seen := map[string]bool{"chain": true}
	set := anchors{all: all}
	var issuing, roots []*x509.Certificate
	for _, a := range all {
		switch {
		case a.Cert == nil:
			return anchors{}, fmt.Errorf("web: anchor %q has no certificate", a.Name)
		case !name.MatchString(a.Name):
			return anchors{}, fmt.Errorf("web: anchor name %q: want a-z, 0-9 and hyphens", a.Name)
		case seen[a.Name]:
			return anchors{}, fmt.Errorf("web: anchor name %q is taken", a.Name)
		}
		seen[a.Name] = true
		if !a.Former && (!a.Own || !a.Issuing) {
			set.roots = append(set.roots, a.Cert)
		}
		switch {
		case !a.Own:
			set.foreign = append(set.foreign, a.Cert)
			set.further = append(set.further, a)
		case a.Former:
			// Who imports the chain needs what verifies the certificates of now.
		case a.Issuing:
			issuing = append(issuing, a.Cert)
		default:
			roots = append(roots, a.Cert)
		}
	}
	chain := append(issuing, roots...)
	if len(chain) == 0 {
		return anchors{}, errors.New("web: no anchor is the portal's own")
	}
	set.pem = ca.PEM(chain...)
	var err error
	if set.pkcs7, err = ca.PKCS7(chain...); err != nil {
		return anchors{}, fmt.Errorf("web: making chain: %w", err)
	}
	return set, nil
}

// find looks an anchor up by the name in the address.
func (s anchors) find(r *http.Request) (Anchor, error) {
	for _, a := range s.all {
		if a.Name == chi.URLParam(r, "anchor") {
			return a, nil
		}
	}
	return Anchor{}, portal.ErrNotFound
}

// showAnchors is GET /ca, for anyone.
func (s publicFiles) showAnchors(w http.ResponseWriter, r *http.Request) error {
	p := page.Anchors{
		Layout: s.layout(r), Platform: clientOf(r).Platform,
		ChainPEM: "/ca/chain.pem", ChainP7B: "/ca/chain.p7b",
	}
	if chosen, ok := platformParam(r); ok {
		p.Platform = string(chosen)
	}
	for _, a := range s.anchors().all {
		p.Items = append(p.Items, page.AnchorItem{
			Name: a.title(), Subject: a.Cert.Subject.String(), Fingerprint: ca.Fingerprint(a.Cert),
			NotAfter: a.Cert.NotAfter, Own: a.Own, Issuing: a.Issuing,
			HrefCER: a.href("cer"), HrefPEM: a.href("pem"),
		})
	}
	return s.render(w, r, http.StatusOK, p)
}

// serveAnchorDER is GET /ca/{anchor}.cer.
func (s publicFiles) serveAnchorDER(w http.ResponseWriter, r *http.Request) error {
	a, err := s.anchors().find(r)
	if err != nil {
		return err
	}
	return servePublic(w, r, publicFile{kind: deliver.TypeCertificate, data: a.Cert.Raw, life: anchorMaxAge})
}

// serveAnchorPEM is GET /ca/{anchor}.pem.
func (s publicFiles) serveAnchorPEM(w http.ResponseWriter, r *http.Request) error {
	a, err := s.anchors().find(r)
	if err != nil {
		return err
	}
	return servePublic(w, r, publicFile{kind: deliver.TypePEM, data: ca.PEM(a.Cert), life: anchorMaxAge})
}

// serveChainPEM is GET /ca/chain.pem.
func (s publicFiles) serveChainPEM(w http.ResponseWriter, r *http.Request) error {
	return servePublic(w, r, publicFile{kind: deliver.TypePEM, data: s.anchors().pem, life: anchorMaxAge})
}

// serveChainPKCS7 is GET /ca/chain.p7b.
func (s publicFiles) serveChainPKCS7(w http.ResponseWriter, r *http.Request) error {
	return servePublic(w, r, publicFile{kind: deliver.TypePKCS7, data: s.anchors().pkcs7, life: anchorMaxAge})
}
