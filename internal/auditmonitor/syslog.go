package auditmonitor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"certportal/internal/audit"
)

// closeWithin is how long a receiver has to read what was sent and to close.
const closeWithin = 10 * time.Second

// Syslog sends entries as messages of RFC 5424 over TLS (RFC 5425).
//
// The protocol has no word for "I have it", and what was written to a connection
// may be lost with it. So each batch has a connection of its own, whose end the
// receiver must answer after it has read everything (RFC 5425 section 4.4): only
// then it counts as delivered.
type Syslog struct {
	Address string      // HOST:PORT
	TLS     *tls.Config // with the CAs that sign the receiver's certificate
}

// Name is the address.
func (s Syslog) Name() string { return "syslog " + s.Address }

// Send delivers entries over a new connection.
func (s Syslog) Send(ctx context.Context, entries []audit.Entry) error {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: closeWithin}, Config: s.TLS}
	dialed, err := dialer.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("connecting to syslog: %w", err)
	}
	defer dialed.Close()
	conn, ok := dialed.(*tls.Conn)
	if !ok {
		return fmt.Errorf("connecting to syslog: got a %T", dialed)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("sending to syslog: %w", err)
		}
	}
	if err := sendFrames(conn, entries); err != nil {
		return fmt.Errorf("sending to syslog: %w", err)
	}
	if err := awaitClose(conn); err != nil {
		return fmt.Errorf("waiting for syslog to have read: %w", err)
	}
	return nil
}

// sendFrames writes messages with their length before them (RFC 5425 section 4.3).
func sendFrames(w io.Writer, entries []audit.Entry) error {
	const enough = 32 << 10
	var frames, message []byte
	for _, e := range entries {
		var err error
		if message, err = e.AppendSyslog(message[:0]); err != nil {
			return err
		}
		frames = strconv.AppendInt(frames, int64(len(message)), 10)
		frames = append(append(frames, ' '), message...)
		if len(frames) < enough {
			continue
		}
		if _, err := w.Write(frames); err != nil {
			return err
		}
		frames = frames[:0]
	}
	_, err := w.Write(frames)
	return err
}

// confirmed ends the sending side and waits for the receiver's end. One that closes
// without a word has read everything too: else its system would have reset the
// connection. One that keeps it open has at least not refused.
func awaitClose(conn *tls.Conn) error {
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(closeWithin)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
