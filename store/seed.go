package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// ErrNotEmpty says that people have certificates in the database already.
var ErrNotEmpty = errors.New("database holds certificates of people")

// Body is a certificate with names and numbers of a fixed length in it, of which the
// seed makes all others by writing over them. Their signatures do not verify.
type Body struct {
	DER                                   []byte
	Serial, UPN, SID, NotBefore, NotAfter []byte // as they stand in the DER
}

// Seeding says what to fill a database with, to try it out at its full size.
type Seeding struct {
	Certificates int // how many; at least 1
	Now          time.Time

	// Body gives the certificate for a UPN of a length. It is asked once for each.
	Body func(length int) (Body, error)

	// Progress is told how many certificates are written. Optional.
	Progress func(written int)
}

// seedBatch is how many certificates are written in one transaction.
const seedBatch = 4000

// Seed fills an empty database with made-up people, their devices and certificates
// of two years, and the ledger that tells of them. It writes what an installation of
// that age would hold, except for two things: the certificates are copies of a few,
// so that no signature verifies, and there are no pickups. The same number always
// gives the same people. [ErrNotEmpty] says that there are others already.
func (db *DB) Seed(ctx context.Context, s Seeding) error {
	var held bool
	err := db.one(ctx, "SELECT EXISTS (SELECT 1 FROM people)", nil, &held)
	if err != nil {
		return fmt.Errorf("looking for people: %w", err)
	}
	if held {
		return ErrNotEmpty
	}
	life := newSeedLife(s)
	for len(life.events) > 0 {
		n := min(seedBatch, len(life.events))
		batch := life.events[:n]
		err := db.writeWithin(ctx, workWithin, "seeding", func(ctx context.Context, t *tx) error {
			return t.sow(ctx, life, batch)
		})
		if err != nil {
			return err
		}
		life.events = life.events[n:]
		life.written += n
		if s.Progress != nil {
			s.Progress(life.written)
		}
	}
	return nil
}

// sow writes what the events of a batch bring: first who they are about.
func (t *tx) sow(ctx context.Context, life *seedLife, events []seedEvent) error {
	people := bulk{t: t, into: "people (id, changes, name, upn)"}
	words := bulk{t: t, into: "person_words (word, person)"}
	devices := bulk{t: t, into: "devices (id, person, name, name_key, platform, created_at)"}
	certificates := bulk{t: t, into: `certificates (serial, issuer, kind, profile, status, person, device_id, upn, sid,
		mail, key_hash, not_before, not_after, requested_at, delivered_at, revoked_at, cause, reason_code, ends_at, der)`}
	var entries []audit.Entry
	for _, e := range events {
		c := &life.certificates[e.certificate]
		if e.revoked {
			t.remember(c.serial(), ending{issuing, c.revokedAt.UnixMilli(), c.cause.ReasonCode(), c.end().UnixMilli()})
			entries = append(entries, life.revokedEntry(c))
			continue
		}
		p := life.person(c.person)
		if c.firstOfPerson {
			people.add(p.id, 1, p.name, p.upn)
			for _, word := range admin.NameWords(p.name, p.upn) {
				words.add(word, p.id)
			}
		}
		if c.firstOfDevice {
			name := life.deviceName(c)
			devices.add(c.deviceID(), p.id, name, nameKey(name), string(c.platform()), c.requested.UnixMilli())
		}
		row, err := life.row(c, p)
		if err != nil {
			return err
		}
		certificates.add(row...)
		entries = append(entries, life.reservedEntry(c, p), life.issuedEntry(c, p))
	}
	for _, b := range []*bulk{&people, &words, &devices, &certificates} {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	return t.appendMany(ctx, entries)
}

// row is a certificate as its table holds it.
func (l *seedLife) row(c *seedCertificate, p seedPerson) ([]any, error) {
	serial := c.serial()
	der, err := l.der(c, p)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256([]byte(serial))
	status, ended := string(portal.Issued), []any{nil, nil, nil, nil}
	switch {
	case !c.revokedAt.IsZero():
		status = string(portal.Revoked)
		ended = []any{c.revokedAt.UnixMilli(), string(c.cause), c.cause.ReasonCode(), nil}
	case c.superseded:
		status, ended[3] = string(portal.Superseded), l.now.Add(72*time.Hour).UnixMilli()
	}
	return append([]any{serial, issuing, string(portal.KindUser), "User", status, p.id, c.deviceID(), p.upn, p.sid, p.upn,
		key[:], c.requested.UnixMilli(), c.end().UnixMilli(), c.requested.UnixMilli(), c.requested.UnixMilli()},
		append(ended, der)...), nil
}

// der writes the facts of a certificate over those of the body of its length.
func (l *seedLife) der(c *seedCertificate, p seedPerson) ([]byte, error) {
	body, known := l.bodies[len(p.upn)]
	if !known {
		var err error
		if body, err = l.body(len(p.upn)); err != nil {
			return nil, fmt.Errorf("making a certificate for names of %d letters: %w", len(p.upn), err)
		}
		l.bodies[len(p.upn)] = body
	}
	const utcTime = "060102150405Z"
	der := bytes.Clone(body.DER)
	for _, change := range [][2][]byte{
		{body.Serial, c.number[:]}, {body.UPN, []byte(p.upn)}, {body.SID, []byte(p.sid)},
		{body.NotBefore, []byte(c.requested.UTC().Format(utcTime))}, {body.NotAfter, []byte(c.end().UTC().Format(utcTime))},
	} {
		if len(change[0]) == len(change[1]) {
			overwrite(der, change[0], change[1])
		}
	}
	return der, nil
}

// overwrite replaces a text wherever it stands by another of the same length.
func overwrite(in, old, fresh []byte) {
	for at := 0; len(old) > 0; {
		i := bytes.Index(in[at:], old)
		if i < 0 {
			return
		}
		copy(in[at+i:], fresh)
		at += i + len(fresh)
	}
}

// bulk inserts many rows with few statements.
type bulk struct {
	t    *tx
	into string
	rows [][]any
}

func (b *bulk) add(row ...any) { b.rows = append(b.rows, row) }

// bulkRows is how many rows one statement carries: engines bound its parameters.
const bulkRows = 50

func (b *bulk) flush(ctx context.Context) error {
	for len(b.rows) > 0 {
		n := len(b.rows)
		if n > bulkRows {
			n = bulkRows
		} else if n < bulkRows {
			n = 1 // so that two statements are remembered and not fifty
		}
		var c condition
		lines := make([]string, n)
		for i, row := range b.rows[:n] {
			places := make([]string, len(row))
			for j, value := range row {
				places[j] = c.arg(value)
			}
			lines[i] = "(" + strings.Join(places, ", ") + ")"
		}
		if _, err := b.t.exec(ctx, "INSERT INTO "+b.into+" VALUES "+strings.Join(lines, ", "), c.args...); err != nil {
			return fmt.Errorf("adding to %s: %w", b.into[:strings.Index(b.into, " ")], err)
		}
		b.rows = b.rows[n:]
	}
	return nil
}

// appendMany is [tx.append] for thousands of entries.
func (t *tx) appendMany(ctx context.Context, entries []audit.Entry) error {
	head, err := t.reserveNumbers(ctx, len(entries))
	if err != nil {
		return fmt.Errorf("appending to ledger: %w", err)
	}
	rows := bulk{t: t, into: "ledger (" + entryColumns + ")"}
	revocations := bulk{t: t, into: "revocations (" + revocationColumns + ")"}
	for _, e := range entries {
		e.Node = t.db.node
		e, head = head.Append(e)
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return fmt.Errorf("encoding entry %d: %w", e.Seq, err)
		}
		rows.add(e.Seq, e.At.UnixMilli(), e.Node, string(e.Action), e.Actor, e.Role, e.Person, e.Object, e.Address, e.Request,
			string(detail), e.Prev[:], e.Hash[:])
		if row := t.told(e); row != nil {
			revocations.add(row...)
		}
	}
	for _, b := range []*bulk{&rows, &revocations} {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, "UPDATE ledger_head SET hash = $1 WHERE id = 1", head.Hash[:]); err != nil {
		return fmt.Errorf("moving ledger head: %w", err)
	}
	return nil
}

// seedNumber is the octets of a serial: 134 bits that look random, as those of the CA.
func seedNumber(r *rand.Rand) (number [17]byte) {
	binary.BigEndian.PutUint64(number[1:], r.Uint64())
	binary.BigEndian.PutUint64(number[9:], r.Uint64())
	number[0] = byte(r.Uint32())&0x3f | 0x40
	return number
}
