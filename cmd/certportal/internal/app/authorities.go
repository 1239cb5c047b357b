package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"certportal/cmd/certportal/internal/localca"
	"certportal/web"
)

// authoritiesChanged notes that the issuing CAs changed. It never blocks.
func (p *App) authoritiesChanged() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// followAuthorities lets lists, answers, pages and the SCEP agent follow the issuing CAs
// until the context ends. What failed is tried again after a while.
func (p *App) followAuthorities(ctx context.Context) {
	const again = 10 * time.Second
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		case <-retry:
		}
		retry = nil
		if err := p.adoptAuthorities(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("following a change of the issuing CAs", "err", err)
			retry = time.After(again)
		}
	}
}

// adoptAuthorities makes lists and answers for all issuing CAs, and publishes their
// certificates. The pages come first: they need no key.
func (p *App) adoptAuthorities(ctx context.Context) error {
	errs := []error{p.web.SetAnchors(p.anchors())}
	for _, of := range p.CA.Line.All() {
		p.log.Info("issuing CA", "name", of.Name, "state", of.Record.State, "until", of.Certificate.NotAfter)
		if !p.lists.Has(of.Name) {
			errs = append(errs, p.lists.Add(authority(p.CA, of, p.Settings, p.Public.HTTP)))
		}
		errs = append(errs, p.answerFor(ctx, of))
	}
	if p.scep != nil {
		errs = append(errs, p.scep.Refresh(ctx))
	}
	return errors.Join(append(errs, p.tls.refresh(ctx))...)
}

// companyRoot is the name of a company's root under /ca where there is an own one too.
const companyRoot = "company-root"

// anchors are the certificates under /ca: roots, issuing CAs, what is between, and the
// further ones of the settings. Those that the CA that issues now does not need are former.
func (p *App) anchors() []web.Anchor {
	var list []web.Anchor
	active, _ := p.CA.Line.Active()
	add := func(name string, cert *x509.Certificate, issuing bool) {
		if slices.ContainsFunc(list, func(a web.Anchor) bool { return a.Cert.Equal(cert) }) {
			return
		}
		needed := len(active.Chain) == 0 || cert.Equal(active.Certificate) || slices.ContainsFunc(active.Chain, cert.Equal)
		list = append(list, web.Anchor{Name: name, Cert: cert, Own: true, Issuing: issuing, Former: !needed})
	}
	root := localca.RootName
	if p.CA.Folder.OwnRoot() {
		add(root, p.CA.Folder.Root(), false)
		root = companyRoot
	}
	between := 0
	for _, of := range p.CA.Line.All() {
		add(freeRoot(list, p.further, root), of.Root(), false)
		add(of.Name, of.Certificate, true)
		for _, cert := range of.Intermediates()[1:] {
			between++
			add(intermediateName(between), cert, true)
		}
	}
	return append(append(list, p.upstreamAnchors(list)...), p.further...)
}

// freeRoot numbers the name of a root that is taken by another one.
func freeRoot(list, further []web.Anchor, name string) string {
	free := name
	for n := 2; slices.ContainsFunc(slices.Concat(list, further), func(a web.Anchor) bool { return a.Name == free }); n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}
