package web

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// checkPath is where the check page is, on its own address.
const checkPath = "/test"

// checkPages is the address that asks browsers for a certificate and says whether it works.
// It reads no session: a client that proves to hold the key of a certificate learns the name of its
// device and nothing else.
type checkPages struct {
	*Server
	header *proxyHeader
}

// CheckHandler answers the check address. The listener must ask for a client certificate,
// without requiring or verifying it.
func (s *Server) CheckHandler() http.Handler { return s.check }

func (s *Server) newCheckHandler(header string) http.Handler {
	pages := checkPages{s, &proxyHeader{name: header, proxies: s.addresses.proxies, log: s.log}}
	files := publicFiles{s}
	r := chi.NewRouter()
	r.Use(begin(true, s.addresses), s.logRequests, s.limitFiles(), s.limitBody, middleware.GetHead)
	r.NotFound(s.handle(files.redirectToHTTPS))
	r.MethodNotAllowed(s.handle(s.showNotFound))
	r.Get("/static/{name}", s.handle(files.serveAsset))
	r.Get("/favicon.ico", showNoIcon)
	r.Get("/robots.txt", showRobots)
	r.With(s.limitPerAddress(s.limits.Downloads)).Get(checkPath, s.handle(pages.showVerdict))
	return r
}

// testAddress is the check page for a device; empty where there is none.
func (s *Server) testAddress(id portal.DeviceID) string {
	if s.checkURL == nil {
		return ""
	}
	to := *s.checkURL.JoinPath(checkPath)
	to.RawQuery = url.Values{"device": {string(id)}}.Encode()
	return to.String()
}

// showVerdict is GET /test: what the certificate that the browser showed is worth. It is
// the only GET that records something, because a click on a link is all that a phone can do,
// and what it records is proved by the key.
func (s checkPages) showVerdict(w http.ResponseWriter, r *http.Request) error {
	wanted := portal.DeviceID(r.URL.Query().Get("device"))
	if !validDeviceID(string(wanted)) {
		wanted = ""
	}
	shown, cert, err := s.examine(r)
	if err != nil {
		return err
	}
	if wanted != "" && shown.Device.ID != wanted && shown.Verdict != portal.VerdictNone && shown.Verdict != portal.VerdictForeign {
		shown.Verdict = portal.VerdictOther
	}
	setLanguage(w, r)
	w.Header().Add("Vary", "Accept")
	// The next try must begin with a handshake, in which the browser may ask again.
	w.Header().Set("Connection", "close")
	if wantsJSON(r) {
		return s.sendVerdict(w, shown)
	}
	return s.render(w, r, http.StatusOK, s.verdictPage(r, shown, cert, wanted))
}

// examine judges the certificate of the request.
func (s checkPages) examine(r *http.Request) (enroll.Shown, *x509.Certificate, error) {
	cert, err := s.header.certificateOf(r)
	switch {
	case errors.Is(err, errNoCertificate):
		return enroll.Shown{Verdict: portal.VerdictNone}, nil, nil
	case err != nil:
		s.sampled.Warn("reading the certificate that a proxy sent", "err", err, "request", requestInfoOf(r).id)
		return enroll.Shown{Verdict: portal.VerdictForeign}, nil, nil
	}
	shown, err := s.registrar.Examine(r.Context(), cert, AnonymousActor(r))
	return shown, cert, err
}

// wantsJSON reports whether the client asks for the verdict as JSON.
func wantsJSON(r *http.Request) bool {
	for kind := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		name, _, _ := strings.Cut(kind, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "application/json":
			return true
		case "text/html", "*/*":
			return false
		}
	}
	return false
}

// verdictJSON is the verdict for scripts. Times are RFC 3339.
type verdictJSON struct {
	Verdict portal.Verdict `json:"verdict"`
	Device  string         `json:"device,omitempty"`
	UPN     string         `json:"upn,omitempty"`
	Serial  string         `json:"serial,omitempty"`
	Until   *time.Time     `json:"until,omitempty"`
	Time    time.Time      `json:"time"` // of the portal's clock
}

func (s checkPages) sendVerdict(w http.ResponseWriter, shown enroll.Shown) error {
	v := verdictJSON{Verdict: shown.Verdict, Time: s.now().UTC().Truncate(time.Second)}
	if c := shown.Device.Certificate; shown.Device.ID != "" {
		until := c.End().UTC()
		v.Device, v.UPN, v.Serial, v.Until = shown.Device.Name, c.UPN, c.Serial.String(), &until
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return json.NewEncoder(w).Encode(v)
}

// maxForeignName bounds the name in a foreign certificate that is shown, in bytes.
const maxForeignName = 200

func (s checkPages) verdictPage(r *http.Request, shown enroll.Shown, cert *x509.Certificate, wanted portal.DeviceID) page.Check {
	here := checkPath
	if wanted != "" {
		here += "?device=" + string(wanted)
	}
	p := page.Check{
		// Without the name of who is signed in: the sign-out is at the portal.
		Layout: page.Layout{
			Lang: languageOf(r), Path: here, RequestID: requestInfoOf(r).id, InApp: clientOf(r).InApp,
			PageURL: s.checkBase() + here, Now: s.now(),
		},
		Verdict: string(shown.Verdict), Wanted: string(wanted), Platform: clientOf(r).Platform,
	}
	if shown.Device.ID != "" {
		c := shown.Device.Certificate
		p.Device, p.UPN, p.From, p.Valid = s.card(shown.Device), c.UPN, c.NotBefore, s.now().Before(c.End()) && c.RevokedAt.IsZero() && c.Void.IsZero()
	} else if cert != nil {
		name := cert.Subject.CommonName
		p.Foreign, _ = portal.CleanDeviceName(name[:min(len(name), maxForeignName)]) // none where it is no name
	}
	return p
}

// checkBase is the check address without a slash at the end; empty where there is none.
func (s *Server) checkBase() string {
	if s.checkURL == nil {
		return ""
	}
	return s.checkURL.Scheme + "://" + s.checkURL.Host
}
