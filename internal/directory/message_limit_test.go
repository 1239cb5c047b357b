package directory

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
)

func TestReadMessage(t *testing.T) {
	good := "\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"
	tests := []struct {
		name, bytes string
		want        error // nil: the first message of the bytes
	}{
		{"a result", good, nil},
		{"more behind it", good + "\x00\x00", nil},
		{"long form of the length", "\x30\x84\x00\x00\x00\x03\x02\x01\x01", nil},
		{"nothing", "", io.EOF},
		{"half a head", "\x30", io.ErrUnexpectedEOF},
		{"half a length", "\x30\x84\x00", io.ErrUnexpectedEOF},
		{"half a body", good[:8], io.ErrUnexpectedEOF},
		{"no sequence", "\x04\x01a", errNotLDAP},
		{"indefinite length", "\x30\x80\x00\x00", errNotLDAP},
		{"length of five octets", "\x30\x85\x00\x00\x00\x00\x00", errNotLDAP},
		{"4 GiB", "\x30\x84\xff\xff\xff\xff", errNotLDAP},
		{"part too long", "\x30\x02\x04\x05", errNotLDAP},
		{"part without length", "\x30\x01\x04", errNotLDAP},
		{"part of indefinite length", "\x30\x04\x30\x80\x00\x00", errNotLDAP},
		{"tag of several octets", "\x30\x03\x1f\x01\x00", errNotLDAP},
		{"deep", nested(maxNesting + 1), errNotLDAP},
		{"deep enough", nested(maxNesting), nil},
		{"many parts", "\x30\x83\x01\x00\x02" + strings.Repeat("\x04\x00", maxElements+1), errNotLDAP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readMessage(strings.NewReader(tt.bytes))
			if !errors.Is(err, tt.want) || (err == nil && !strings.HasPrefix(tt.bytes, string(got))) {
				t.Errorf("readMessage = %x, %v, want %v", clipBytes(got), err, tt.want)
			}
		})
	}
}

// nested is a message with so many levels.
func nested(levels int) string {
	inner := ""
	for range levels {
		inner = "\x30" + string([]byte{byte(len(inner))}) + inner
	}
	return inner
}

// A message that passes is within the limits, and the library can decode it.
func FuzzMessageLimit(f *testing.F) {
	f.Add([]byte("\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"))
	f.Add([]byte("\x30\x84\x00\x00\x00\x03\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		message, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(message) > maxMessage+6 || !bytes.HasPrefix(b, message) {
			t.Errorf("%d bytes get through, not as they came", len(message))
		}
		// A part may be malformed inside; the decoder says so without harm.
		if _, err := ber.DecodePacketErr(message); err != nil {
			t.Skip()
		}
	})
}
