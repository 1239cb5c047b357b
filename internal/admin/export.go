package admin

import (
	"context"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
)

// exportBatch is how many rows an export reads at once. No database connection is held
// while they are written, so that a slow client blocks nothing.
const exportBatch = 1000

// NoteExport asks whether the actor may export, and records the export with its filter.
// It must be called before the functions that read.
func (s *Service) NoteExport(ctx context.Context, by portal.Actor, what string, f Filter) error {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.Export})
	if err != nil {
		return err
	}
	entry.Action, entry.Object = audit.RecordsExported, what
	entry.Detail = map[string]string{}
	if !f.IsZero() {
		entry.Detail["filter"] = f.Query(time.UTC).Encode()
	}
	return storeErr("recording export", s.c.Store.Note(ctx, entry))
}

// EachCertificate calls emit for every certificate that matches the filter, in the
// order of the pages.
func (s *Service) EachCertificate(ctx context.Context, by portal.Actor, f Filter, emit func(Certificate) error) error {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.Export}); err != nil {
		return err
	}
	return each(func(from Cursor) (Found[Certificate], error) {
		return s.c.Store.Certificates(ctx, f, from, exportBatch, s.c.Now())
	}, emit)
}

// EachDevice does the same for devices.
func (s *Service) EachDevice(ctx context.Context, by portal.Actor, f Filter, emit func(Device) error) error {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.Export}); err != nil {
		return err
	}
	return each(func(from Cursor) (Found[Device], error) {
		return s.c.Store.SearchDevices(ctx, f, from, exportBatch, s.c.Now())
	}, emit)
}

func each[T any](page func(Cursor) (Found[T], error), emit func(T) error) error {
	var from Cursor
	for {
		found, err := page(from)
		if err != nil {
			return storeErr("reading for export", err)
		}
		for _, row := range found.Rows {
			if err := emit(row); err != nil {
				return err
			}
		}
		if found.Next == (Cursor{}) {
			return nil
		}
		from = found.Next
	}
}

// EachEntry does the same for the audit log, in its order.
func (s *Service) EachEntry(ctx context.Context, by portal.Actor, f Filter, emit func(audit.Entry) error) error {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.Export}); err != nil {
		return err
	}
	for after := int64(0); ; {
		entries, err := s.c.Store.Entries(ctx, after, exportBatch)
		if err != nil {
			return storeErr("reading audit log for export", err)
		}
		for _, e := range entries {
			if !f.From.IsZero() && e.At.Before(f.From) || !f.To.IsZero() && !e.At.Before(f.To) {
				continue
			}
			if err := emit(e); err != nil {
				return err
			}
		}
		if len(entries) < exportBatch {
			return nil
		}
		after = entries[len(entries)-1].Seq
	}
}
