package directory

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// Limits on what a server may send. The largest legitimate responses, 100 people or a
// person in 1,000 groups, reach a tenth of them.
const (
	maxMessage  = 1 << 20 // bytes of one LDAP message
	maxAnswer   = 2 << 20 // bytes between two requests
	maxNesting  = 12      // levels; a search entry with a control has 6
	maxElements = 1 << 15 // BER elements of one message; each takes some 300 bytes of memory
)

var errNotLDAP = errors.New("response is not an LDAP message")

// limitedConn is a connection that returns only whole, well-formed LDAP messages (RFC
// 4511 section 5.1) within the limits, and fails otherwise. The library's decoder alone
// would accept 2 GiB and 1,000 levels, and copies the content at each level.
type limitedConn struct {
	net.Conn
	message []byte       // unread rest of the current message
	left    atomic.Int64 // bytes the server may still send before the next request
}

// Write sends a request and resets the limit on responses.
func (f *limitedConn) Write(p []byte) (int, error) {
	f.left.Store(maxAnswer)
	return f.Conn.Write(p)
}

// Read returns bytes of checked messages only.
func (f *limitedConn) Read(p []byte) (int, error) {
	if len(f.message) == 0 {
		message, err := readMessage(f.Conn)
		if err != nil {
			return 0, err
		}
		if f.left.Add(-int64(len(message))) < 0 {
			return 0, fmt.Errorf("response is longer than %d bytes", maxAnswer)
		}
		f.message = message
	}
	n := copy(p, f.message)
	f.message = f.message[n:]
	return n, nil
}

// readMessage reads one LDAP message and not a byte more: data that follows the response
// to StartTLS must not be taken for data received under TLS.
func readMessage(r io.Reader) ([]byte, error) {
	head := make([]byte, 2, 2+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[0] != 0x30 { // SEQUENCE
		return nil, errNotLDAP
	}
	size := int(head[1])
	if size >= 0x80 {
		octets := size & 0x7f
		if octets == 0 || octets > 4 { // an indefinite length is not LDAP
			return nil, errNotLDAP
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
		return nil, fmt.Errorf("%w: %d bytes announced", errNotLDAP, size)
	}
	message := append(make([]byte, 0, len(head)+size), head...)
	message = message[:len(head)+size]
	if _, err := io.ReadFull(r, message[len(head):]); err != nil {
		return nil, unfinished(err)
	}
	elements := 0
	return message, checkElements(message[len(head):], 1, &elements)
}

// checkElements validates the lengths of nested BER elements and limits their number and
// depth.
func checkElements(b []byte, depth int, elements *int) error {
	if depth > maxNesting {
		return fmt.Errorf("%w: nested deeper than %d", errNotLDAP, maxNesting)
	}
	for len(b) > 0 {
		*elements++
		if *elements > maxElements {
			return fmt.Errorf("%w: more than %d elements", errNotLDAP, maxElements)
		}
		content, rest, ok := splitElement(b)
		if !ok {
			return errNotLDAP
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

// splitElement returns the content of the first element and the bytes after it. LDAP has
// no tags of several octets and no indefinite lengths.
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
