package web

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// newHandler builds the https side. The table is grouped by who may pass; what
// is not in it does not exist.
func (s *Server) newHandler(proxies []netip.Prefix) (http.Handler, error) {
	sameOrigin, err := s.sameOrigin()
	if err != nil {
		return nil, err
	}
	status, statusFirst := s.answerOCSP(true)
	acts, ceiling := s.limitRequests()
	signIns, downloads := s.limitPerAddress(s.limits.SignIns), s.limitPerAddress(s.limits.Downloads)
	r := chi.NewRouter()
	r.Use(statusFirst, begin(true), clientIP(proxies), s.logRequests, acts, s.limitBody, sameOrigin, middleware.GetHead)
	r.NotFound(ceiling(s.handle(s.showNotFound)).ServeHTTP)
	r.MethodNotAllowed(ceiling(s.handle(s.showMethodNotAllowed)).ServeHTTP)

	// Anyone, any number of times: small files from memory.
	s.routeFiles(r)
	s.routeOCSP(r, status)
	r.Get("/favicon.ico", showNoIcon)
	r.Get("/robots.txt", showRobots)

	r.Group(func(r chi.Router) {
		r.Use(ceiling, s.rememberLanguage)

		// Anyone.
		r.Get("/login", s.handle(s.showLogin))
		r.With(signIns).Post("/login", s.handle(s.submitLogin))
		s.routeSSO(r)
		r.Get("/help", s.handle(s.showHelp))
		r.Get("/ca", s.handle(s.showAnchors))

		// Whoever holds the code of a hand-off, or the token in the address.
		s.routeGo(r)
		s.routePickup(r)
		r.With(downloads).Get("/d/{token}/{file}", s.handle(s.serveDownload))
		r.With(downloads).Head("/d/{token}/{file}", s.handle(s.serveDownload))

		r.Group(s.routeHelpdesk)
		r.Group(s.routeSignedIn)
		r.Group(s.routeOwnDevices)
		r.Group(s.routeAdmin)
		r.Group(s.routeAudit)
	})
	return r, nil
}

// routeSignedIn adds what is for whoever is signed in, also as a phone that came by
// a hand-off.
func (s *Server) routeSignedIn(r chi.Router) {
	r.Use(s.requireSession)
	r.Post("/logout", s.handle(s.submitLogout))
	r.Get("/new", s.handle(s.onceOnPhone(s.showNew)))
	r.Post("/new", s.handle(s.onceOnPhone(s.submitNew)))
	r.Get(keyPath, s.handle(s.onceOnPhone(s.showNewKey)))
	r.Post(keyPath, s.handle(s.onceOnPhone(s.submitKey)))
	r.Get("/new/platform", s.handle(s.onceOnPhone(s.showPlatforms)))
	r.Get("/devices/{id}/install", s.handle(s.ownOnPhone(s.showInstall)))
	r.Get("/devices/{id}/certificate.cer", s.handle(s.ownOnPhone(s.serveOwnDER)))
	r.Get("/devices/{id}/certificate.pem", s.handle(s.ownOnPhone(s.serveOwnPEM)))
}

// routeOwnDevices adds what is for a person's whole session: their own devices.
func (s *Server) routeOwnDevices(r chi.Router) {
	r.Use(s.requireSession, s.requireWhole)
	r.Get("/", s.handle(s.showHome))
	r.Get(handoffPath, s.handle(s.showHandoff))
	r.Post(handoffPath, s.handle(s.submitHandoff))
	r.Get("/devices/{id}", s.handle(s.showDevice))
	r.Post("/devices/{id}/install", s.handle(s.submitInstall))
	r.Get("/devices/{id}/renew", s.handle(s.showRenew))
	r.Post("/devices/{id}/renew", s.handle(s.submitRenew))
	r.Post("/devices/{id}/finish", s.handle(s.submitFinish))
	r.Get("/devices/{id}/lost", s.handle(s.showLost))
	r.Post("/devices/{id}/lost", s.handle(s.submitLost))
	r.Get("/devices/{id}/rename", s.handle(s.showRename))
	r.Post("/devices/{id}/rename", s.handle(s.submitRename))
	r.Get("/devices/{id}/remove", s.handle(s.showRemove))
	r.Post("/devices/{id}/remove", s.handle(s.submitRemove))
}

// routeSSO adds the way to the identity provider and back, where there is one.
func (s *Server) routeSSO(r chi.Router) {
	if s.sso == nil {
		return
	}
	r.With(s.limitPerAddress(s.limits.SignIns)).Get(ssoPath, s.handle(s.startSSO))
	r.With(s.limitPerAddress(s.limits.SignIns)).Get(CallbackPath, s.handle(s.finishSSO))
}

// newPlainHandler builds the plain http side.
func (s *Server) newPlainHandler(proxies []netip.Prefix) http.Handler {
	status, statusFirst := s.answerOCSP(false)
	r := chi.NewRouter()
	r.Use(statusFirst, begin(false), clientIP(proxies), s.logRequests, s.limitBody, middleware.GetHead)
	r.NotFound(s.handle(s.redirectToHTTPS))
	r.MethodNotAllowed(s.handle(s.showNotFound))
	s.routeFiles(r)
	s.routeOCSP(r, status)
	r.Get("/ca", s.handle(s.showAnchors))
	return r
}

// routeFiles adds what both sides serve. The style sheet is there on plain http
// too: a phone that does not trust the portal yet must read /ca as it was meant.
func (s *Server) routeFiles(r chi.Router) {
	services := s.limitPerAddress(s.limits.Services)
	for path, service := range s.services {
		r.With(services).Handle(path, service)
	}
	r.Get("/ca/chain.pem", s.handle(s.serveChainPEM))
	r.Get("/ca/chain.p7b", s.handle(s.serveChainPKCS7))
	r.Get("/ca/{anchor}.cer", s.handle(s.serveAnchorDER))
	r.Get("/ca/{anchor}.pem", s.handle(s.serveAnchorPEM))
	r.Get("/crl/{issuer}.crl", s.handle(s.serveList))
	r.Get("/static/{name}", s.handle(s.serveAsset))
}

// sameOrigin refuses what another site makes a browser send (attack A9). There
// is no exception: the one origin it trusts is the portal's own, in case a proxy
// hands on another Host.
func (s *Server) sameOrigin() (func(http.Handler) http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin(s.public.Scheme + "://" + s.public.Host); err != nil {
		return nil, fmt.Errorf("web: trusting own address: %w", err)
	}
	protection.SetDenyHandler(s.handle(func(http.ResponseWriter, *http.Request) error { return errCrossSite }))
	return protection.Handler, nil
}

// clientIP finds the address a request came from. X-Forwarded-For counts only
// from proxies that are trusted; without any, nobody's word is taken.
func clientIP(proxies []netip.Prefix) func(http.Handler) http.Handler {
	if len(proxies) == 0 {
		return middleware.ClientIPFromRemoteAddr
	}
	prefixes := make([]string, len(proxies))
	for i, p := range proxies {
		prefixes[i] = p.String()
	}
	return middleware.ClientIPFromXFF(prefixes...)
}
