package directory

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"certportal/internal/portal"
)

// sidText formats a binary SID (MS-DTYP 2.4.2.2) as "S-1-5-21-…". The authority is
// big-endian, the sub-authorities are little-endian.
func sidText(b []byte) (string, error) {
	if len(b) < 8 || b[0] != 1 || b[1] == 0 || b[1] > 15 || len(b) != 8+4*int(b[1]) {
		return "", fmt.Errorf("SID has an unknown form: %x", clipBytes(b))
	}
	authority := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	var text strings.Builder
	text.WriteString("S-1-")
	if authority < 1<<32 {
		text.WriteString(strconv.FormatUint(authority, 10))
	} else {
		fmt.Fprintf(&text, "0x%012X", authority)
	}
	for at := 8; at < len(b); at += 4 {
		text.WriteByte('-')
		text.WriteString(strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b[at:])), 10))
	}
	return text.String(), nil
}

// parseSID parses the text form of a SID strictly: no leading zeros, no signs.
func parseSID(text string) ([]byte, error) {
	malformed := fmt.Errorf("SID %q has an unknown form", clipText(text))
	parts := strings.Split(text, "-")
	if len(parts) < 4 || len(parts) > 3+15 || parts[0] != "S" || parts[1] != "1" {
		return nil, malformed
	}
	authority, err := strconv.ParseUint(parts[2], 0, 48)
	if err != nil {
		return nil, malformed
	}
	b := []byte{1, byte(len(parts) - 3)}
	b = binary.BigEndian.AppendUint16(b, uint16(authority>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(authority))
	for _, part := range parts[3:] {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return nil, malformed
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	// Only the canonical text is accepted, so not "05" or "+5".
	if again, err := sidText(b); err != nil || again != text {
		return nil, malformed
	}
	return b, nil
}

// guidText formats an objectGUID in lower case as 8-4-4-4-12. The first three groups are
// little-endian (MS-DTYP 2.3.4).
func guidText(b []byte) (portal.PersonID, error) {
	if len(b) != 16 {
		return "", fmt.Errorf("objectGUID has %d bytes instead of 16", len(b))
	}
	return portal.PersonID(fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b),
		binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:])), nil
}

var errGUID = errors.New("id is not a GUID")

// parseGUID parses the output of guidText, and no other form.
func parseGUID(id portal.PersonID) ([]byte, error) {
	text := string(id)
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return nil, errGUID
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != 16 || text != strings.ToLower(text) {
		return nil, errGUID
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5], b[6], b[7] = b[5], b[4], b[7], b[6]
	return b, nil
}

// filterBytes escapes every byte of a value for a filter (RFC 4515 section 3).
func filterBytes(b []byte) string {
	var text strings.Builder
	for _, octet := range b {
		fmt.Fprintf(&text, `\%02x`, octet)
	}
	return text.String()
}

// fileTime parses a FILETIME, 100 ns steps since 1601. In accountExpires, zero and the
// greatest value mean never, for which it returns the zero time.
func fileTime(text string) (time.Time, error) {
	const (
		step  = 10_000_000      // in a second
		epoch = -11_644_473_600 // Unix time of 1601-01-01
		never = 1<<63 - 1
	)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("time %q has an unknown form", clipText(text))
	}
	if n == 0 || n == never {
		return time.Time{}, nil
	}
	return time.Unix(n/step+epoch, n%step*100).UTC(), nil
}

func clipBytes(b []byte) []byte { return b[:min(len(b), 80)] }

func clipText(s string) string { return s[:min(len(s), 80)] }
