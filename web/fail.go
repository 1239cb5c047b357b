package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/internal/catalogue"
	"certportal/internal/portal"
	"certportal/web/page"
)

var (
	errCrossSite = errors.New("request of another site")
	errMethod    = errors.New("method not allowed here")
	errPanic     = errors.New("panic in handler") // logged with its stack where it was caught
)

// busyRetry is when to try again after too many enrolments at the same time: by then those
// that were in progress are over.
const busyRetry = 5 * time.Second

// outageRetry is when to try again after a part did not answer.
const outageRetry = 30 * time.Second

// handlerFunc writes a response or returns an error.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// handle adapts h to net/http and passes its error to fail.
func (s *Server) handle(h handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
}

// retryable is an error with a form that repeats the request.
type retryable struct {
	err   error
	retry *page.Retry
}

func (e *retryable) Error() string { return e.err.Error() }

// Unwrap gives the error itself.
func (e *retryable) Unwrap() error { return e.err }

// verdict is how an error is answered and logged.
type verdict struct {
	status int
	kind   page.Kind
	level  slog.Level
	msg    string        // of the log line; empty for none
	wait   time.Duration // of Retry-After; 0 for none
}

// fail picks status, page and log level for an error. It is the only place that logs
// errors of handlers.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if s.refuseUninvited(w, r, err) {
		return
	}
	v := s.verdictOf(r, err)
	if v.msg != "" {
		log := s.log
		if errors.Is(err, errTooMany) || errors.Is(err, portal.ErrBusy) {
			log = s.sampled
		}
		log.LogAttrs(r.Context(), v.level, v.msg, slog.String("route", routeOf(r)),
			slog.Int("status", v.status), slog.String("request", requestInfoOf(r).id), slog.Any("err", err))
	}
	if errors.Is(err, errForm) {
		s.noteRejected(r, err)
	}
	if v.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(v.wait.Seconds())))
	}
	switch v.status {
	case http.StatusRequestEntityTooLarge:
		// The rest of the body is not worth reading.
		w.Header().Set("Connection", "close")
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", allowedMethods(r))
	}
	p := s.problemPage(r, v.kind, err)
	if v.status >= http.StatusInternalServerError {
		p = s.unfinishedPage(r, p)
	}
	_ = s.render(w, r, v.status, p)
}

// unfinishedPage replaces the page of a fault after acts whose failure matters for
// security: a lost phone that was not removed, a sign-out that did not happen. Both
// may be repeated.
func (s *Server) unfinishedPage(r *http.Request, p page.Page) page.Page {
	if r.Method != http.MethodPost {
		return p
	}
	switch id, ok := deviceID(r); {
	case routeOf(r) == "/logout":
		return page.Problem{Layout: s.layout(r), Kind: page.NotSignedOut, Retry: &page.Retry{Action: "/logout"}}
	case routeOf(r) == "/devices/{id}/remove" && ok:
		retry := &page.Retry{Action: "/devices/" + string(id) + "/remove"}
		return page.Problem{Layout: s.layout(r), Kind: page.NotRemoved, Retry: retry}
	case routeOf(r) == "/devices/{id}/lost" && ok:
		retry := blockRetry(id, portal.Lost)
		if problem, ok := p.(page.Problem); ok && problem.Retry != nil {
			retry = problem.Retry // with the reason that was chosen
		}
		return page.Problem{Layout: s.layout(r), Kind: page.NotBlocked, Retry: retry}
	}
	return p
}

// noteRejected records a form that no page sends, from a signed-in person. Requests
// without a session are only logged: they could fill the audit log.
func (s *Server) noteRejected(r *http.Request, cause error) {
	if s.person(r).person == "" {
		return
	}
	if err := s.registrar.NoteRejected(r.Context(), s.by(r), routeOf(r), cause.Error()); err != nil {
		s.log.Error("recording a rejected request", "request", requestInfoOf(r).id, "err", err)
	}
}

// verdictOf maps errors to verdicts. Unknown errors are internal errors (500).
func (s *Server) verdictOf(r *http.Request, err error) verdict {
	var outage *portal.Outage
	var refusal *portal.Refusal
	var gone *portal.Gone
	var large *http.MaxBytesError
	var sso *ssoRefused
	var denied *authz.Error
	switch {
	case r.Context().Err() != nil && errors.Is(err, context.Canceled):
		// The client disconnected: no part has failed.
		return verdict{503, page.Server, slog.LevelInfo, "request broken off", 0}
	case errors.As(err, &outage):
		return verdict{503, page.Kind(outage.Part), slog.LevelError, "part out of order", outageRetry}
	case errors.As(err, &refusal):
		return s.refusalVerdict(refusal)
	case errors.As(err, &denied):
		status, kind := deniedProblem(denied)
		return verdict{status, kind, slog.LevelWarn, "act refused", 0}
	case errors.As(err, &sso):
		return verdict{sso.status, "", slog.LevelWarn, "sign-in at identity provider refused", 0}
	case errors.As(err, &gone):
		return verdict{410, goneKind(gone), slog.LevelInfo, "", 0}
	case errors.As(err, &large), errors.Is(err, errTooLarge):
		return verdict{413, page.TooLarge, slog.LevelWarn, "request rejected", 0}
	case errors.Is(err, errForm):
		return verdict{400, page.Unreadable, slog.LevelWarn, "request rejected", 0}
	case errors.Is(err, errLimited):
		return verdict{403, "", slog.LevelInfo, "", 0}
	case errors.Is(err, errCrossSite):
		return verdict{403, page.CrossSite, slog.LevelWarn, "request rejected", 0}
	case errors.Is(err, errTooMany):
		return verdict{429, page.TooMany, slog.LevelWarn, "request rejected", limitWindow}
	case errors.Is(err, portal.ErrBusy):
		return verdict{503, page.Busy, slog.LevelWarn, "enrolment refused", busyRetry}
	case errors.Is(err, errMethod):
		return verdict{405, page.MethodNotAllowed, slog.LevelInfo, "", 0}
	case errors.Is(err, portal.ErrNotFound):
		return verdict{404, page.NotFound, slog.LevelInfo, "", 0}
	case errors.Is(err, portal.ErrConflict):
		return verdict{409, page.Changed, slog.LevelInfo, "changed in between", 0}
	case errors.Is(err, errPanic):
		return verdict{500, page.Server, slog.LevelError, "", 0}
	}
	return verdict{500, page.Server, slog.LevelError, "request failed", 0}
}

// refusalVerdict picks the status of a refusal with a page of its own. Handlers show
// those of a form field; one that arrives here belongs to a form without that field,
// so something changed since the form was shown.
func (s *Server) refusalVerdict(refusal *portal.Refusal) verdict {
	v := verdict{http.StatusForbidden, page.Kind(refusal.Reason), slog.LevelInfo, "refused", 0}
	switch refusal.Reason {
	case portal.Locked:
		v.status = http.StatusLocked
	case portal.NoSID:
		v.status = http.StatusUnprocessableEntity
	case portal.Halted, portal.NoAuthority:
		v.status, v.wait = http.StatusServiceUnavailable, outageRetry
	case portal.Conflicting:
		v.status, v.level = http.StatusConflict, slog.LevelWarn
	case portal.UnknownPerson:
		// Perhaps the provider names people in another way than the directory.
		v.level = slog.LevelWarn
	case portal.PausedSignIn, portal.PausedAddress, portal.PausedCodes, portal.PausedPickup, portal.PausedInvites,
		portal.TooOften:
		v.status = http.StatusTooManyRequests
		v.wait = max(time.Second, refusal.Until.Sub(s.now()))
	case portal.RenewEarly, portal.DeviceBlocked, portal.SecondPerson:
		v.status = http.StatusConflict
	case portal.Disabled, portal.Expired, portal.PasswordOld, portal.Restricted, portal.Protected,
		portal.NotAllowed, portal.IssuerDenied, portal.NoUPN, portal.BadIdentity, portal.EntryUnread, portal.SuffixForeign:
	default:
		v.status, v.kind = http.StatusConflict, page.Changed
	}
	return v
}

// problemPage fills the page with the details of the error.
func (s *Server) problemPage(r *http.Request, kind page.Kind, err error) page.Page {
	p := page.Problem{Layout: s.layout(r), Kind: kind}
	var refusal *portal.Refusal
	var outage *portal.Outage
	var sso *ssoRefused
	var again *retryable
	var gone *portal.Gone
	switch {
	case errors.As(err, &outage), errors.Is(err, portal.ErrBusy):
		if outage != nil {
			s.fillOutage(r, &p, outage)
		}
		if errors.As(err, &again) {
			p.Retry = again.retry
		}
	case errors.As(err, &refusal):
		return s.refusalPage(p, refusal)
	case errors.As(err, &sso):
		return s.ssoFailedPage(r, sso.key)
	case errors.Is(err, errLimited):
		return s.limitedPage(r)
	case errors.As(err, &gone):
		s.fillGone(r, &p, gone)
	}
	return p
}

// refusalPage fills the page with the details of the refusal.
func (s *Server) refusalPage(p page.Problem, refusal *portal.Refusal) page.Page {
	switch refusal.Reason {
	case portal.PausedSignIn, portal.PausedAddress:
		return page.Paused{Layout: p.Layout, Until: refusal.Until, Network: refusal.Reason == portal.PausedAddress}
	case portal.PausedCodes:
		return page.Paused{Layout: p.Layout, Until: refusal.Until, Codes: true}
	case portal.UnknownPerson:
		if s.sso != nil {
			p.Detail = s.sso.Name
		}
		return p
	case portal.SecondPerson:
		p.Approve = "/admin/devices/" + url.PathEscape(refusal.Value) + "/revoke"
		return p
	case portal.Conflicting:
		return p // this person must not learn who has the name
	case portal.Halted:
		if refusal.Value == admin.RestoredCopy {
			return p // the page says enough, in its language
		}
		p.Detail = catalogue.Text(refusal.Value).In(p.Layout.Lang)
		return p
	}
	p.Detail, p.At = refusal.Value, refusal.Until
	return p
}

// fillOutage offers the sign-in by password when the identity provider is down.
func (s *Server) fillOutage(r *http.Request, p *page.Problem, outage *portal.Outage) {
	if outage.Part != portal.PartProvider || s.sso == nil {
		return
	}
	p.Detail = s.sso.Name
	if s.takesPasswords() {
		p.SignIn = signInAddress(s.nextOf(r))
	}
}

// goneKind is how a link ended, as far as anyone with the address may know.
func goneKind(gone *portal.Gone) page.Kind {
	switch {
	case gone.Removed:
		return page.LinkRemoved
	case gone.Blocked:
		return page.LinkBlocked
	case gone.Ended:
		return page.LinkReplaced
	case gone.Used:
		return page.LinkUsed
	case gone.Barred:
		return page.LinkBarred
	}
	return page.LinkExpired
}

// fillGone names the device to its owner only. Other clients with the address learn
// when the link ended, and for which platform.
func (s *Server) fillGone(r *http.Request, p *page.Problem, gone *portal.Gone) {
	p.At, p.Platform = gone.At, string(gone.Platform)
	who, ok, err := s.signedIn(r)
	if err != nil || !ok {
		return
	}
	device, err := s.registrar.Device(r.Context(), who.person, gone.Device)
	if err != nil {
		return
	}
	p.DeviceID, p.DeviceName = string(device.ID), device.Name
}

// showNotFound answers addresses without a route.
func (s *Server) showNotFound(http.ResponseWriter, *http.Request) error {
	return fmt.Errorf("finding address: %w", portal.ErrNotFound)
}

// showMethodNotAllowed answers routes that lack the method. The router sends unknown
// methods here for any address.
func (s *Server) showMethodNotAllowed(_ http.ResponseWriter, r *http.Request) error {
	if allowedMethods(r) == "" {
		return portal.ErrNotFound
	}
	return errMethod
}
