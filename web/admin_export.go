package web

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/web/page"
)

// exports lists what can be exported, as in the address.
func exports() []string { return []string{"certificates", "devices", "audit"} }

// showExport is GET /admin/export.
func (s adminPages) showExport(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, page.AdminExport{Layout: s.staffLayout(r), States: stateKeys(), Whats: exports()})
}

// stateKeys lists the states of certificates.
func stateKeys() []string {
	var keys []string
	for _, state := range admin.States() {
		keys = append(keys, string(state))
	}
	return keys
}

// submitExport is POST /admin/export/{what}: a file that is streamed while rows are
// read. The export is recorded before the first row.
func (s adminPages) submitExport(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filterForm(r)
	if err != nil {
		return err
	}
	what := chi.URLParam(r, "what")
	var stream func(context.Context, http.ResponseWriter, portal.Actor, admin.Filter) error
	switch what {
	case "certificates":
		stream = s.exportCertificates
	case "devices":
		stream = s.exportDevices
	case "audit":
		stream = s.exportLedger
	default:
		return portal.ErrNotFound
	}
	if err := s.admin.NoteExport(r.Context(), actorOf(r), what, f); err != nil {
		return err
	}
	if err := stream(r.Context(), w, actorOf(r), f); err != nil {
		if !errors.Is(err, context.Canceled) {
			s.log.Warn("export aborted", "what", what, "request", requestInfoOf(r).id, "err", err)
		}
		panic(http.ErrAbortHandler) // the only way to show the client that the file is incomplete
	}
	return nil
}

func (s adminPages) exportCertificates(ctx context.Context, w http.ResponseWriter, a portal.Actor, f admin.Filter) error {
	out, err := s.startCSV(w, "certificates", "serial", "status", "upn", "name", "person", "device", "device_name", "platform",
		"requested", "not_before", "not_after", "revoked_at", "cause", "authority")
	if err != nil {
		return err
	}
	err = s.admin.EachCertificate(ctx, a, f, func(c admin.Certificate) error {
		return out.write(c.Serial.String(), string(c.Shown), c.UPN, c.PersonName, string(c.Person), string(c.Device), c.DeviceName,
			string(c.Platform), csvTime(c.Requested), csvTime(c.NotBefore), csvTime(c.NotAfter), csvTime(c.RevokedAt), string(c.Cause), c.Issuer)
	})
	return errors.Join(err, out.flush())
}

func (s adminPages) exportDevices(ctx context.Context, w http.ResponseWriter, a portal.Actor, f admin.Filter) error {
	out, err := s.startCSV(w, "devices", "device", "name", "platform", "person", "person_name", "upn", "created", "blocked",
		"removed", "status", "serial", "not_after")
	if err != nil {
		return err
	}
	err = s.admin.EachDevice(ctx, a, f, func(d admin.Device) error {
		return out.write(string(d.ID), d.Name, string(d.Platform), string(d.Person), d.PersonName, d.UPN, csvTime(d.Created),
			csvTime(d.Blocked), csvTime(d.Removed), string(d.Shown), d.Certificate.Serial.String(), csvTime(d.Certificate.NotAfter))
	})
	return errors.Join(err, out.flush())
}

func (s adminPages) exportLedger(ctx context.Context, w http.ResponseWriter, a portal.Actor, f admin.Filter) error {
	out, err := s.startCSV(w, "audit", "seq", "at", "node", "action", "actor", "role", "person", "object", "address", "request",
		"detail", "hash")
	if err != nil {
		return err
	}
	err = s.admin.EachEntry(ctx, a, f, func(e audit.Entry) error {
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return err
		}
		return out.write(strconv.FormatInt(e.Seq, 10), csvTime(e.At), e.Node, string(e.Action), e.Actor, e.Role, e.Person, e.Object,
			e.Address, e.Request, string(detail), hex.EncodeToString(e.Hash[:]))
	})
	return errors.Join(err, out.flush())
}
