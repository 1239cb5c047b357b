package seed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"certportal/internal/portal"
)

// row is a certificate as its table holds it.
func (h *history) row(c *certificate, p personData) ([]any, error) {
	serial := c.serial()
	der, err := h.der(c, p)
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
		status, ended[3] = string(portal.Superseded), h.now.Add(72*time.Hour).UnixMilli()
	}
	return append([]any{serial, issuing, string(portal.KindUser), "User", status, p.id, c.deviceID(), p.upn, p.sid, p.upn,
		key[:], c.requested.UnixMilli(), c.end().UnixMilli(), c.requested.UnixMilli(), c.requested.UnixMilli()},
		append(ended, der)...), nil
}

// der writes the names and numbers of a certificate over those of the template of its length.
func (h *history) der(c *certificate, p personData) ([]byte, error) {
	template, known := h.templates[len(p.upn)]
	if !known {
		var err error
		if template, err = h.template(len(p.upn)); err != nil {
			return nil, fmt.Errorf("making a certificate for names of %d letters: %w", len(p.upn), err)
		}
		h.templates[len(p.upn)] = template
	}
	const utcTime = "060102150405Z"
	der := bytes.Clone(template.DER)
	for _, change := range [][2][]byte{
		{template.Serial, c.number[:]}, {template.UPN, []byte(p.upn)}, {template.SID, []byte(p.sid)},
		{template.NotBefore, []byte(c.requested.UTC().Format(utcTime))}, {template.NotAfter, []byte(c.end().UTC().Format(utcTime))},
	} {
		if len(change[0]) == len(change[1]) {
			overwrite(der, change[0], change[1])
		}
	}
	return der, nil
}

// overwrite replaces a text everywhere by another of the same length.
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

// serialNumber is the octets of a serial: 134 bits that look random, as those of the CA.
func serialNumber(r *rand.Rand) (number [17]byte) {
	binary.BigEndian.PutUint64(number[1:], r.Uint64())
	binary.BigEndian.PutUint64(number[9:], r.Uint64())
	number[0] = byte(r.Uint32())&0x3f | 0x40
	return number
}
