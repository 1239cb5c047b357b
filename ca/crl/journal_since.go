package crl

import (
	"context"
	"strings"

	"certportal/ca"
)

// Since is what a journal records beyond an entry of the audit log.
type Since struct {
	Issued, Revoked int   // certificates
	Last            int64 // entry
	Foreign         bool  // no earlier line is of the audit log of the store

	// Elsewhere are certificates that CAs issued which this portal does not run. Numbers of
	// requests that were open are among them.
	Elsewhere []Elsewhere
}

// Elsewhere is a certificate of a CA that the portal does not run.
type Elsewhere struct {
	Authority string
	Serial    ca.Serial
}

// sampleEvery is how many lines there are between two that are compared with the store.
const sampleEvery = 500

// elsewhere begins the issuer of a line of a CA that the portal does not run. It is in
// journals for good.
const elsewhere = "upstream-"

// Since reads the whole journal, and compares it with the audit log of the store up to the
// given entry. It must not run concurrently with Run.
func (j *Journal) Since(ctx context.Context, seq int64) (Since, error) {
	found := Since{Last: seq}
	compared, shared, compare := false, false, 1
	err := j.each(j.size, func(n int, l line) error {
		switch {
		case l.Seq > seq && l.Revoked != 0:
			found.Revoked++
		case l.Seq > seq && l.Serial != (ca.Serial{}):
			found.Issued++
			if name, ok := strings.CutPrefix(l.Issuer, elsewhere); ok {
				found.Elsewhere = append(found.Elsewhere, Elsewhere{name, l.Serial})
			}
		case l.Seq <= seq && !shared && n >= compare && l.Hash != "":
			known, err := j.c.Store.HasEntry(ctx, l.Seq, l.Hash)
			if err != nil {
				return err
			}
			compared, shared, compare = true, known, n+sampleEvery
		}
		found.Last = max(found.Last, l.Seq)
		return nil
	})
	found.Foreign = compared && !shared
	return found, err
}
