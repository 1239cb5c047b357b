package drift

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"certportal/internal/portal"
)

// readProtected asks once a pass who may be protected by their groups. If the directory
// does not answer, people recorded as protected are still read, and the report says that
// others may be missing: that must not keep leavers from being revoked.
func (p *pass) readProtected(ctx context.Context) {
	if p.protectedRead || p.c.Protected == ProtectedIgnore {
		return
	}
	p.protectedRead = true
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	var err error
	if p.protected, err = p.c.Directory.Protected(ctx); err != nil {
		p.incomplete(ctx, fmt.Errorf("reading who is protected: %w", err))
	}
}

// incomplete records that a question to the directory had no answer.
func (p *pass) incomplete(ctx context.Context, err error) {
	if context.Cause(ctx) == nil || errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		p.c.Log.Error("drift watch: some changes are not seen in this pass", "err", err)
	}
	p.report.Incomplete = errors.Join(p.report.Incomplete, err)
}

// mayBeProtected reports whether the holder must be read in full to know.
func (p *pass) mayBeProtected(h CertificateHolder, person portal.Person) bool {
	if p.c.Protected == ProtectedIgnore {
		return false
	}
	return person.Protected || p.protected[h.Person] || slices.ContainsFunc(h.Certificates, func(c Certificate) bool {
		return slices.ContainsFunc(c.Mismatches, func(m Mismatch) bool { return m.Change == portal.BecameProtected })
	})
}
