package revoker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// maxReport bounds the body of a report.
const maxReport = 1024

// work is the answer to a revoker that asks.
type work struct {
	Authority   string    `json:"authority"` // name in the settings
	Revocations []pending `json:"revocations"`
	More        bool      `json:"more"` // there are more than these
}

type pending struct {
	Serial string    `json:"serial"` // lower-case hexadecimal of even length
	Reason int       `json:"reason"` // RFC 5280 section 5.3.1
	Asked  time.Time `json:"asked"`
}

// list answers what is to be revoked. With the parameter dry-run it is not recorded that the
// revoker asked: nothing is going to be revoked.
func (s *Server) list(r *http.Request, name string) (int, []byte) {
	open, err := s.c.Store.OpenRevocations(r.Context(), authority(name), s.c.Now(), Most+1)
	if err != nil {
		s.c.Log.Error("listing revocations for a revoker", "ca", name, "err", err)
		return http.StatusServiceUnavailable, nil
	}
	if !r.URL.Query().Has("dry-run") {
		if err := s.c.Store.NoteRevokerAsked(r.Context(), authority(name), s.c.Now()); err != nil {
			s.c.Log.Error("recording that a revoker asked", "ca", name, "err", err)
		}
	}
	a := work{Authority: name, Revocations: []pending{}, More: len(open) > Most}
	for _, v := range open[:min(len(open), Most)] {
		a.Revocations = append(a.Revocations, pending{Serial: v.Serial.String(), Reason: v.Reason, Asked: v.Asked.Truncate(time.Second)})
	}
	body, err := json.Marshal(a)
	if err != nil {
		s.c.Log.Error("answering a revoker", "ca", name, "err", err)
		return http.StatusInternalServerError, nil
	}
	return http.StatusOK, body
}

// report records the outcome of one revocation.
func (s *Server) report(r *http.Request, name string) (int, []byte) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType, nil
	}
	said, err := parseReport(r.Body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, nil
	}
	if err != nil {
		return http.StatusBadRequest, nil
	}
	action := audit.UpstreamNotRevoked
	if said.Revoked {
		action = audit.UpstreamRevoked
	}
	by := portal.Revoker(name)
	by.Address = address(r)
	entry := by.Entry(s.c.Now(), action)
	entry.Person, entry.Object = "", said.Serial.String()
	entry.Detail = map[string]string{"authority": authority(name), "by": enroll.ByRevoker, "certificate": fingerprint(r)}
	if said.Detail != "" {
		entry.Detail["answer"] = said.Detail
	}
	err = s.c.Store.NoteRevokerReport(r.Context(), authority(name), said, entry)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return http.StatusNotFound, nil
	case errors.Is(err, portal.ErrConflict):
		return http.StatusConflict, nil
	case err != nil:
		s.c.Log.Error("recording what a revoker reports", "ca", name, "serial", said.Serial.String(), "err", err)
		return http.StatusServiceUnavailable, nil
	}
	s.c.Log.Info("revoker reported", "ca", name, "serial", said.Serial.String(), "revoked", said.Revoked, "answer", said.Detail)
	return http.StatusNoContent, nil
}

// errReport means that a body is no report.
var errReport = errors.New("not a report of a revoker")

// parseReport reads one report and nothing behind it. It has no free text, so that a revoker
// puts no words into pages and log.
func parseReport(body io.Reader) (enroll.RevokerReport, error) {
	var wire struct {
		Serial  string `json:"serial"`
		Outcome string `json:"outcome"`
		Code    *int64 `json:"code"`
	}
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&wire); err != nil {
		return enroll.RevokerReport{}, fmt.Errorf("%w: %w", errReport, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return enroll.RevokerReport{}, errReport
	}
	serial, err := ca.ParseSerial(wire.Serial)
	if err != nil || serial.String() != wire.Serial {
		return enroll.RevokerReport{}, errReport
	}
	if wire.Code == nil || *wire.Code < math.MinInt32 || *wire.Code > math.MaxUint32 {
		return enroll.RevokerReport{}, errReport
	}
	r := enroll.RevokerReport{Serial: serial}
	switch code := uint32(*wire.Code); {
	case wire.Outcome == "revoked":
		r.Revoked = true
	case wire.Outcome == "absent":
		r.Detail = "the CA has no issued certificate with this serial number of the template that its revoker may revoke"
	case wire.Outcome == "failed" && code == 0:
		r.Detail = "certutil revoked it, and it is not revoked in the database of the CA"
	case wire.Outcome == "failed":
		r.Detail = fmt.Sprintf("revoking ended with code 0x%08x", code)
	default:
		return enroll.RevokerReport{}, errReport
	}
	return r, nil
}
