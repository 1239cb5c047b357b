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

// closeWithin is how long a receiver may take to read everything and close.
const closeWithin = 10 * time.Second

// Syslog is a target that sends RFC 5424 messages over TLS (RFC 5425).
//
// The protocol has no acknowledgement, and what was written to a connection may be lost
// with it. Therefore each batch has a connection of its own, and counts as forwarded
// when the receiver has read everything and closed it (RFC 5425 section 4.4).
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
		return fmt.Errorf("waiting for syslog to read: %w", err)
	}
	return nil
}

// sendFrames writes messages, each with its length (RFC 5425 section 4.3).
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

// awaitClose ends the sending side and waits for the receiver to close. A receiver that
// closes without close_notify has read everything too: with unread data its system
// would have reset the connection. One that keeps it open has at least not refused.
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
