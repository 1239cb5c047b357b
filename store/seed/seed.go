// Package seed fills an empty database with sample data: people, their devices and
// certificates of two years, and the audit log of all that, so that lists and
// searches can be tried at the size of an old installation.
package seed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/store"
	"certportal/store/sqldb"
)

// issuing is the issuer of all sample certificates.
const issuing = "issuing"

// ErrNotEmpty says that people have certificates in the database already.
var ErrNotEmpty = errors.New("database holds certificates of people")

// Template is a certificate with names and numbers of a fixed length in it, of which
// all others are made by writing over them. Their signatures do not verify.
type Template struct {
	DER                                   []byte
	Serial, UPN, SID, NotBefore, NotAfter []byte // as they are in the DER
}

// Config says what to fill a database with.
type Config struct {
	Certificates int // how many; at least 1
	Now          time.Time

	// Template makes the certificate for UPNs of a length. It is called once for
	// each length.
	Template func(length int) (Template, error)

	// Progress gets the number of entries written so far. Optional.
	Progress func(written int)
}

// batchSize is how many events are written in one transaction.
const batchSize = 4000

// Fill writes what an installation of two years would hold, except for two things:
// the certificates are copies of a few, so that no signature verifies, and there are
// no pickups. The same number always gives the same people. [ErrNotEmpty] says that
// there are others already.
func Fill(ctx context.Context, db *store.DB, c Config) error {
	var held bool
	err := db.One(ctx, "SELECT EXISTS (SELECT 1 FROM people)", nil, &held)
	if err != nil {
		return fmt.Errorf("looking for people: %w", err)
	}
	if held {
		return ErrNotEmpty
	}
	h := newHistory(c)
	for written := 0; written < len(h.events); {
		batch := h.events[written:min(written+batchSize, len(h.events))]
		err := db.Write(ctx, sqldb.WorkTimeout, "seeding", func(ctx context.Context, t *sqldb.Tx) error {
			w := writer{t: t, node: db.Node()}
			return w.write(ctx, h, batch)
		})
		if err != nil {
			return err
		}
		written += len(batch)
		if c.Progress != nil {
			c.Progress(written)
		}
	}
	return nil
}

// writer writes a batch in one transaction.
type writer struct {
	t       *sqldb.Tx
	node    string // of the audit entries
	entries []logged
}

// logged is an audit entry, and the certificate it revokes, if it revokes one.
type logged struct {
	audit.Entry
	revoked *certificate
}

// write writes the events of a batch: first the people, last the audit entries.
func (w *writer) write(ctx context.Context, h *history, events []event) error {
	people := bulk{t: w.t, into: "people (id, changes, name, upn)"}
	words := bulk{t: w.t, into: "person_words (word, person)"}
	devices := bulk{t: w.t, into: "devices (id, person, name, name_key, platform, created_at)"}
	certificates := bulk{t: w.t, into: `certificates (serial, issuer, kind, profile, status, person, device_id, upn, sid,
		mail, key_hash, not_before, not_after, requested_at, delivered_at, revoked_at, cause, reason_code, ends_at, der)`}
	for _, e := range events {
		c := &h.certificates[e.certificate]
		if e.revoked {
			w.entries = append(w.entries, logged{Entry: h.revokedEntry(c), revoked: c})
			continue
		}
		p := h.person(c.person)
		if c.firstOfPerson {
			people.add(p.id, 1, p.name, p.upn)
			for _, word := range admin.NameWords(p.name, p.upn, "") {
				words.add(word, p.id)
			}
		}
		if c.firstOfDevice {
			name := h.deviceName(c)
			devices.add(c.deviceID(), p.id, name, store.NameKey(name), string(c.platform()), c.requested.UnixMilli())
		}
		row, err := h.row(c, p)
		if err != nil {
			return err
		}
		certificates.add(row...)
		w.entries = append(w.entries, logged{Entry: h.reservedEntry(c, p)}, logged{Entry: h.issuedEntry(c, p)})
	}
	for _, b := range []*bulk{&people, &words, &devices, &certificates} {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	return w.appendEntries(ctx)
}

// appendEntries adds the entries to the audit log, and the revocations they report
// under the same numbers.
func (w *writer) appendEntries(ctx context.Context) error {
	head, err := w.head(ctx)
	if err != nil {
		return fmt.Errorf("appending to audit log: %w", err)
	}
	entries := bulk{t: w.t, into: "ledger (seq, at, node, action, actor, role, person, object, address, request, detail, prev, hash)"}
	revocations := bulk{t: w.t, into: "revocations (issuer, seq, serial, revoked_at, reason_code, not_after)"}
	for _, l := range w.entries {
		e := l.Entry
		e.Node = w.node
		e, head = head.Append(e)
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return fmt.Errorf("encoding entry %d: %w", e.Seq, err)
		}
		entries.add(e.Seq, e.At.UnixMilli(), e.Node, string(e.Action), e.Actor, e.Role, e.Person, e.Object, e.Address, e.Request,
			string(detail), e.Prev[:], e.Hash[:])
		if c := l.revoked; c != nil {
			revocations.add(issuing, e.Seq, c.serial(), c.revokedAt.UnixMilli(), c.cause.ReasonCode(), c.end().UnixMilli())
		}
	}
	for _, b := range []*bulk{&entries, &revocations} {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	if _, err := w.t.Exec(ctx, "UPDATE ledger_head SET seq = $1, hash = $2 WHERE id = 1", head.Seq, head.Hash[:]); err != nil {
		return fmt.Errorf("moving head of audit log: %w", err)
	}
	return nil
}

// head locks the head of the audit log and reads it.
func (w *writer) head(ctx context.Context) (audit.Head, error) {
	var head audit.Head
	var hash []byte
	err := w.t.One(ctx, "UPDATE ledger_head SET seq = seq WHERE id = 1 RETURNING seq, hash", nil, &head.Seq, &hash)
	if err != nil {
		return audit.Head{}, err
	}
	head.Hash, err = sqldb.Hash32(hash)
	return head, err
}
