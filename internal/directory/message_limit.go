package directory

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// Bounds of what a server may send. An honest answer to the largest question
// asked here, 100 people or a person in 1,000 groups, is a tenth of them.
const (
	maxMessage  = 1 << 20 // bytes of one LDAP message
	maxAnswer   = 2 << 20 // bytes between two questions
	maxNesting  = 12      // levels; a search entry with a control has 6
	maxElements = 1 << 15 // parts of one message: each costs some 300 bytes in memory
)

var errFrame = errors.New("answer is not an LDAP message")

// framed is a connection that lets whole LDAP messages through (RFC 4511 section
// 5.1) and fails at anything else, before the decoder makes objects of it: that
// one's own bounds are 2 GiB and 1,000 levels, and each level copies what is in it.
type framed struct {
	net.Conn
	message []byte       // what of the current message is not read yet
	left    atomic.Int64 // bytes the server may still send before it is asked again
}

// Write sends a question. Its answer may be as long as any.
func (f *framed) Write(p []byte) (int, error) {
	f.left.Store(maxAnswer)
	return f.Conn.Write(p)
}

// Read gives out bytes of checked messages only.
func (f *framed) Read(p []byte) (int, error) {
	if len(f.message) == 0 {
		message, err := readMessage(f.Conn)
		if err != nil {
			return 0, err
		}
		if f.left.Add(-int64(len(message))) < 0 {
			return 0, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
		}
		f.message = message
	}
	n := copy(p, f.message)
	f.message = f.message[n:]
	return n, nil
}

// readMessage reads one LDAP message and not a byte more: what follows the answer
// to StartTLS must not be taken for an answer under TLS.
func readMessage(r io.Reader) ([]byte, error) {
	head := make([]byte, 2, 2+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[0] != 0x30 { // SEQUENCE
		return nil, errFrame
	}
	size := int(head[1])
	if size >= 0x80 {
		octets := size & 0x7f
		if octets == 0 || octets > 4 { // an indefinite length is not LDAP
			return nil, errFrame
		}
		head = head[:2+octets]
		if _, err := io.ReadFull(r, head[2:]); err != nil {
			return nil, unfinished(err)
		}
		size = 0
		for _, b := range head[2:] {
			size = size<<8 | int(b)
		}
	}
	if size > maxMessage {
		return nil, fmt.Errorf("%w: %d bytes announced", errFrame, size)
	}
	message := append(make([]byte, 0, len(head)+size), head...)
	message = message[:len(head)+size]
	if _, err := io.ReadFull(r, message[len(head):]); err != nil {
		return nil, unfinished(err)
	}
	elements := 0
	return message, checkElements(message[len(head):], 1, &elements)
}

// checkElements walks over BER elements and fails where they do not fit into each
// other, or where there are too many.
func checkElements(b []byte, depth int, elements *int) error {
	if depth > maxNesting {
		return fmt.Errorf("%w: nested deeper than %d", errFrame, maxNesting)
	}
	for len(b) > 0 {
		*elements++
		if *elements > maxElements {
			return fmt.Errorf("%w: more than %d elements", errFrame, maxElements)
		}
		content, rest, ok := splitElement(b)
		if !ok {
			return errFrame
		}
		if b[0]&0x20 != 0 { // constructed
			if err := checkElements(content, depth+1, elements); err != nil {
				return err
			}
		}
		b = rest
	}
	return nil
}

// splitElement splits off the content of the first element. Tags of several
// octets and indefinite lengths do not occur in LDAP.
func splitElement(b []byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return nil, nil, false
	}
	size, at := int(b[1]), 2
	if size >= 0x80 {
		at += size & 0x7f
		if at == 2 || at > 2+4 || at > len(b) {
			return nil, nil, false
		}
		size = 0
		for _, octet := range b[2:at] {
			size = size<<8 | int(octet)
		}
	}
	if size > len(b)-at {
		return nil, nil, false
	}
	return b[at : at+size], b[at+size:], true
}

func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
