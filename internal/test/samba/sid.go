package samba

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// textSID formats a SID (MS-DTYP section 2.4.2). It is independent of the portal's own
// code, so that the tests can compare the two.
func textSID(b []byte) string {
	if len(b) < 8 || len(b) != 8+4*int(b[1]) {
		return ""
	}
	authority := binary.BigEndian.Uint64(append([]byte{0, 0}, b[2:8]...))
	var text strings.Builder
	fmt.Fprintf(&text, "S-%d-%d", b[0], authority)
	for rest := b[8:]; len(rest) > 0; rest = rest[4:] {
		fmt.Fprintf(&text, "-%d", binary.LittleEndian.Uint32(rest))
	}
	return text.String()
}

// textGUID formats a GUID. The first three groups are little-endian (MS-DTYP section
// 2.3.4.2).
func textGUID(b []byte) string {
	if len(b) != 16 {
		return ""
	}
	turned := []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]}
	head := hex.EncodeToString(turned)
	tail := hex.EncodeToString(b[8:])
	return strings.Join([]string{head[:8], head[8:12], head[12:], tail[:4], tail[4:]}, "-")
}
