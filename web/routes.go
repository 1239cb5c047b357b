package web

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"certportal/internal/authz"
)

// The handlers, in groups by audience. Each group embeds the server, which holds what
// they share: sessions, forms, rendering, errors.
type (
	publicFiles   struct{ *Server } // all clients: trust anchors, CRLs, OCSP, style and script
	signInPages   struct{ *Server } // all clients: sign in by password or identity provider, sign out
	handoffPages  struct{ *Server } // the desktop that shows a code, and the phone that scans it
	pickupPages   struct{ *Server } // a person with a pickup code of the helpdesk
	fileDownloads struct{ *Server } // a client with the token of a pickup or challenge
	ownDevices    struct{ *Server } // a signed-in person: their own devices
	helpdeskPages struct{ *Server } // helpdesk staff
	adminPages    struct{ *Server } // administrators, and auditors where nothing changes
	auditPages    struct{ *Server } // auditors and administrators
)

// newHandler builds the https side. The routes are grouped by who may use them; an
// address without a route answers 404.
func (s *Server) newHandler() (http.Handler, error) {
	sameOrigin, err := s.sameOrigin()
	if err != nil {
		return nil, err
	}
	files := publicFiles{s}
	serveOCSP, interceptOCSP := files.interceptOCSP(true)
	limitWrites, limitReads := s.limitRequests()
	r := chi.NewRouter()
	r.Use(interceptOCSP, begin(true, s.addresses), s.logRequests, limitWrites, s.limitBody, sameOrigin, middleware.GetHead)
	r.NotFound(limitReads(s.handle(s.showNotFound)).ServeHTTP)
	r.MethodNotAllowed(limitReads(s.handle(s.showMethodNotAllowed)).ServeHTTP)

	// Small files from memory, with a counter of their own.
	r.Group(func(r chi.Router) {
		r.Use(only(isRead, s.limitFiles()))
		files.routes(r, serveOCSP)
		r.Get(SeenPath, s.handle(files.showSeen))
		r.Get("/favicon.ico", showNoIcon)
		r.Get("/robots.txt", showRobots)
	})

	r.Group(func(r chi.Router) {
		r.Use(limitReads, s.rememberLanguage)
		s.pages(r)
	})
	return r, nil
}

// pages adds what people see.
func (s *Server) pages(r chi.Router) {
	files := publicFiles{s}
	r.Get("/help", s.handle(files.showHelp))
	r.Get("/ca", s.handle(files.showAnchors))
	r.Group(signInPages{s}.routes)
	r.Group(handoffPages{s}.routes)
	r.Group(pickupPages{s}.routes)
	r.Group(fileDownloads{s}.routes)
	r.Group(ownDevices{s}.routes)
	r.Group(helpdeskPages{s}.routes)
	r.Group(adminPages{s}.routes)
	r.Group(auditPages{s}.routes)
}

// newPlainHandler builds the plain http side.
func (s *Server) newPlainHandler() http.Handler {
	files := publicFiles{s}
	serveOCSP, interceptOCSP := files.interceptOCSP(false)
	r := chi.NewRouter()
	r.Use(interceptOCSP, begin(false, s.addresses), s.logRequests, s.limitFiles(), s.limitBody, middleware.GetHead)
	r.NotFound(s.handle(files.redirectToHTTPS))
	r.MethodNotAllowed(s.handle(s.showNotFound))
	files.routes(r, serveOCSP)
	r.Get("/ca", s.handle(files.showAnchors))
	if s.challenge != nil {
		r.With(s.limitPerAddress(s.limits.Services)).Get(challengePath+"{token}", s.handle(files.answerChallenge))
	}
	return r
}

// routes adds what both sides serve. The style sheet is on plain http too: a phone
// that does not trust the portal's certificate yet must be able to read /ca.
func (s publicFiles) routes(r chi.Router, serveOCSP http.Handler) {
	limited := s.limitPerAddress(s.limits.Services)
	for path, service := range s.services {
		r.With(limited).Handle(path, service)
	}
	r.Get("/ca/chain.pem", s.handle(s.serveChainPEM))
	r.Get("/ca/chain.p7b", s.handle(s.serveChainPKCS7))
	r.Get("/ca/{anchor}.cer", s.handle(s.serveAnchorDER))
	r.Get("/ca/{anchor}.pem", s.handle(s.serveAnchorPEM))
	r.Get("/crl/{issuer}.crl", s.handle(s.serveCRL))
	r.Get("/static/{name}", s.handle(s.serveAsset))
	if s.ocsp != nil {
		// For the list of routes alone: interceptOCSP answers before the router.
		r.Method(http.MethodPost, ocspPath, serveOCSP)
		r.Method(http.MethodGet, ocspPath+"/*", serveOCSP)
	}
}

func (s signInPages) routes(r chi.Router) {
	limited := s.limitPerAddress(s.limits.SignIns)
	r.Get("/login", s.handle(s.showLogin))
	r.With(limited).Post("/login", s.handle(s.submitLogin))
	if s.sso != nil {
		r.With(s.limitPerAddress(s.limits.SignIns)).Get(ssoPath, s.handle(s.startSSO))
		r.With(s.limitPerAddress(s.limits.SignIns)).Get(CallbackPath, s.handle(s.finishSSO))
	}
	r.With(s.requireSession).Post("/logout", s.handle(s.submitLogout))
}

// routes adds both ends of a hand-off. The phone needs only the code, so the limit of
// sign-ins per address comes before the database is asked.
func (s handoffPages) routes(r chi.Router) {
	limited := s.limitPerAddress(s.limits.SignIns)
	r.Get(goPath, s.handle(s.showGo))
	r.Post(goPath, s.handle(s.submitGo))
	r.With(limited).Get(goPath+"/{code}", s.handle(s.showGoCode))
	r.With(limited).Post(goPath+"/{code}", s.handle(s.submitGoCode))

	desktop := r.With(s.requireSession, s.requireWhole)
	desktop.Get(handoffPath, s.handle(s.showHandoff))
	desktop.Post(handoffPath, s.handle(s.submitHandoff))
}

// routes adds the employee's end of a pickup code. A client needs only the code, so
// the limit of sign-ins per address comes before the database is asked.
func (s pickupPages) routes(r chi.Router) {
	if s.helpdesk == nil {
		return
	}
	limited := s.limitPerAddress(s.limits.SignIns)
	r.Get(pickupPath, s.handle(s.withVisitor(s.showPickup)))
	r.With(limited).Post(pickupPath, s.handle(s.withVisitor(s.submitPickup)))
	r.With(limited).Get(pickupPath+"/{code}", s.handle(s.withVisitor(s.showPickupCode)))
}

func (s fileDownloads) routes(r chi.Router) {
	limited := s.limitPerAddress(s.limits.Downloads)
	r.With(limited).Get("/d/{token}/{file}", s.handle(s.serveDownload))
	r.With(limited).Head("/d/{token}/{file}", s.handle(s.serveDownload))
}

// routes adds a person's own devices. The first routes are open to the limited session
// of a phone too, the others to a whole session only.
func (s ownDevices) routes(r chi.Router) {
	phone := r.With(s.requireSession)
	phone.Get("/new", s.handle(s.onceOnPhone(s.toEligible(s.showNew))))
	phone.Post("/new", s.handle(s.onceOnPhone(s.submitNew)))
	phone.Get(keyPath, s.handle(s.onceOnPhone(s.toEligible(s.showCSRForm))))
	phone.Post(keyPath, s.handle(s.onceOnPhone(s.submitCSR)))
	phone.Get("/new/platform", s.handle(s.onceOnPhone(s.toEligible(s.showPlatforms))))
	phone.Get("/devices/{id}/install", s.handle(s.ownOnPhone(s.showInstall)))
	phone.Get("/devices/{id}/certificate.cer", s.handle(s.ownOnPhone(s.serveOwnDER)))
	phone.Get("/devices/{id}/certificate.pem", s.handle(s.ownOnPhone(s.serveOwnPEM)))

	phone.Post("/devices/{id}/finish", s.handle(s.ownOnPhone(s.submitFinish)))
	phone.Get("/devices/{id}/trouble", s.handle(s.ownOnPhone(s.showTrouble)))
	phone.Post("/devices/{id}/trouble", s.handle(s.ownOnPhone(s.submitTrouble)))

	whole := r.With(s.requireSession, s.requireWhole)
	whole.Get("/", s.handle(s.showHome))
	whole.Get(lostPath, s.handle(s.showLostDevices))
	whole.Get("/devices/{id}", s.handle(s.showDevice))
	whole.Post("/devices/{id}/install", s.handle(s.submitInstall))
	phone.Post("/devices/{id}/collect", s.handle(s.ownOnPhone(s.submitCollect)))
	whole.Get("/devices/{id}/newfile", s.handle(s.showNewFile))
	whole.Get("/devices/{id}/renew", s.handle(s.showRenew))
	whole.Post("/devices/{id}/renew", s.handle(s.submitRenew))
	whole.Get("/devices/{id}/lost", s.handle(s.showLost))
	whole.Post("/devices/{id}/lost", s.handle(s.submitLost))
	whole.Get("/devices/{id}/rename", s.handle(s.showRename))
	whole.Post("/devices/{id}/rename", s.handle(s.submitRename))
	whole.Get("/devices/{id}/remove", s.handle(s.showRemove))
	whole.Post("/devices/{id}/remove", s.handle(s.submitRemove))
}

// routes adds the pages of the helpdesk, each under its act.
func (s helpdeskPages) routes(r chi.Router) {
	if s.helpdesk == nil {
		return
	}
	const person = helpdeskPath + "/people/{person}"
	s.staff(r, authz.FindPeople).Get(helpdeskPath, s.handle(s.showFindPeople))
	s.staff(r, authz.ReadPerson).Get(person, s.handle(s.showPersonDetails))
	s.staff(r, authz.Invite).Get(person+"/code", s.handle(s.showGiveCode))
	s.staff(r, authz.Invite).Post(person+"/code", s.handle(s.submitGiveCode))
	s.staff(r, authz.Invite).Get(person+"/code/{invitation}", s.handle(s.showCodeGiven))
	s.staff(r, authz.Invite).Get(person+"/code/{invitation}/slip", s.handle(s.showSlip))
	s.staff(r, authz.Block).Get(person+"/devices/{id}/block", s.handle(s.showBlockDevice))
	s.staff(r, authz.Block).Post(person+"/devices/{id}/block", s.handle(s.submitBlockDevice))
	s.staff(r, authz.Approve).Get(approvalsPath, s.handle(s.showApprovals))
	s.staff(r, authz.Approve).Post(approvalsPath+"/{invitation}", s.handle(s.submitApproval))
}

// routes adds the administrator's pages, each under its act. Auditors may read.
func (s adminPages) routes(r chi.Router) {
	if s.admin == nil {
		return
	}
	s.staff(r, authz.ReadOverview).Get("/admin", s.handle(s.showOverview))

	read := s.staff(r, authz.ReadCertificates)
	read.Get("/admin/certificates", s.handle(s.showCertificates))
	read.Get("/admin/certificates/{serial}", s.handle(s.showCertificate))
	read.Get("/admin/devices", s.handle(s.showAllDevices))
	read.Get("/admin/devices/{id}", s.handle(s.showAnyDevice))
	read.Get("/admin/orders", s.handle(s.showBulkRevocations))
	read.Get("/admin/orders/{order}", s.handle(s.showBulkRevocation))

	revoke := s.staff(r, authz.Revoke)
	revoke.Get("/admin/certificates/{serial}/revoke", s.handle(s.showRevokeCertificate))
	revoke.Post("/admin/certificates/{serial}/revoke", s.handle(s.submitRevokeCertificate))
	revoke.Get("/admin/devices/{id}/revoke", s.handle(s.showRevokeDevice))
	revoke.Post("/admin/devices/{id}/revoke", s.handle(s.submitRevokeDevice))
	revoke.Get("/admin/people/{person}/revoke", s.handle(s.showRevokePerson))
	revoke.Post("/admin/people/{person}/revoke", s.handle(s.submitRevokePerson))

	bulk := s.staff(r, authz.RevokeMany)
	bulk.Get("/admin/orders/new", s.handle(s.showNewBulkRevocation))
	bulk.Post("/admin/orders", s.handle(s.submitBulkRevocation))
	bulk.Post("/admin/orders/{order}/confirm", s.handle(s.confirmBulkRevocation))
	bulk.Post("/admin/orders/{order}/drop", s.handle(s.dropBulkRevocation))
	s.staff(r, authz.ApproveBulk).Post("/admin/orders/{order}/approve", s.handle(s.approveBulkRevocation))

	halt := s.staff(r, authz.HaltIssuing)
	halt.Get("/admin/halt", s.handle(s.showHalt))
	halt.Post("/admin/halt", s.handle(s.submitHalt))
	halt.Post("/admin/halt/resume", s.handle(s.submitResume))

	s.staff(r, authz.ReadRoles).Get("/admin/people", s.handle(s.showRoles))
	s.staff(r, authz.ReadChecks).Get("/admin/checks", s.handle(s.showChecks))
	s.staff(r, authz.RunChecks).Post("/admin/checks", s.handle(s.runChecks))
	s.staff(r, authz.ReadChecks).Get(exchangePath, s.handle(s.showExchange))
	s.staff(r, authz.ReadChecks).Get(exchangePath+"/"+exchangeFile, s.handle(s.serveExchangeScript))
	s.staff(r, authz.ReadChecks).Get(mailPath, s.handle(s.showFailedMail))
	s.staff(r, authz.RunChecks).Post(mailPath+"/{message}", s.handle(s.submitResend))

	s.staff(r, authz.ReadChecks).Get(caStatusPath, s.handle(s.showCAStatus))
	s.staff(r, authz.RunChecks).Post(caStatusPath+"/addresses", s.handle(s.submitAddresses))
	s.staff(r, authz.PublishCRL).Post(caStatusPath+"/publish", s.handle(s.submitPublish))
	s.staff(r, authz.TestIssue).Post(caStatusPath+"/trial", s.handle(s.submitTestIssuance))

	s.staff(r, authz.ReadChecks).Get(discoverPath, s.handle(s.showDiscovered))
	s.staff(r, authz.TestIssue).Post(caStatusPath+"/upstream", s.handle(s.submitTrial))

	export := s.staff(r, authz.Export)
	export.Get("/admin/export", s.handle(s.showExport))
	export.Post("/admin/export/{what}", s.handle(s.submitExport))
}

func (s auditPages) routes(r chi.Router) {
	s.staff(r, authz.ReadAuditLog).Get(auditPath, s.handle(s.showAudit))
}

// sameOrigin refuses requests that another site makes a browser send (attack A9). The
// only origin it trusts is the portal's own, in case a proxy changes Host.
func (s *Server) sameOrigin() (func(http.Handler) http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin(s.public.Scheme + "://" + s.public.Host); err != nil {
		return nil, fmt.Errorf("web: trusting own address: %w", err)
	}
	protection.SetDenyHandler(s.handle(func(http.ResponseWriter, *http.Request) error { return errCrossSite }))
	return protection.Handler, nil
}
