package power

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// The parts of the NBD protocol that QEMU uses, by the names of
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
const (
	nbdMagic    = 0x4e42444d41474943
	optionMagic = 0x49484156454f5054
	optionReply = 0x3e889045565a9
	request     = 0x25609513
	simpleReply = 0x67446698

	fixedNewstyle, noZeroes = 1, 2
	hasFlags, sendFlush     = 1, 4

	optAbort, optGo               = 2, 7
	repAck, repInfo, repErrUnsup  = 1, 3, 1<<31 + 1
	cmdRead, cmdWrite, cmdDisc    = 0, 1, 2
	cmdFlush, errIO, longestWrite = 3, 5, 64 << 20
)

// serve answers one machine until its end, in the middle of a request too.
func (d *Disk) serve(conn net.Conn) error {
	err := d.negotiate(conn)
	for err == nil {
		err = d.answer(conn)
	}
	// The machine is killed while it reads or writes.
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, end) {
			return nil
		}
	}
	return err
}

func send(conn io.Writer, fields ...any) error {
	var message []byte
	for _, f := range fields {
		message, _ = binary.Append(message, binary.BigEndian, f)
	}
	_, err := conn.Write(message)
	return err
}

// negotiate ends when the machine chose the disk, with NBD_OPT_GO.
func (d *Disk) negotiate(conn net.Conn) error {
	var flags uint32
	err := send(conn, uint64(nbdMagic), uint64(optionMagic), uint16(fixedNewstyle|noZeroes))
	if err == nil {
		err = binary.Read(conn, binary.BigEndian, &flags)
	}
	for err == nil {
		var option struct {
			Magic          uint64
			Option, Length uint32
		}
		if err = binary.Read(conn, binary.BigEndian, &option); err != nil {
			break
		}
		if option.Magic != optionMagic || option.Length > 4096 {
			return fmt.Errorf("not an option: %+v", option)
		}
		if _, err = io.CopyN(io.Discard, conn, int64(option.Length)); err != nil {
			break
		}
		reply := []any{uint64(optionReply), option.Option}
		switch option.Option {
		case optGo:
			return errors.Join(
				send(conn, append(reply, uint32(repInfo), uint32(12), uint16(0), uint64(d.size), uint16(hasFlags|sendFlush))...),
				send(conn, append(reply, uint32(repAck), uint32(0))...))
		case optAbort:
			return io.EOF
		default:
			err = send(conn, append(reply, uint32(repErrUnsup), uint32(0))...)
		}
	}
	return err
}

// answer carries out one request.
func (d *Disk) answer(conn net.Conn) error {
	var r struct {
		Magic       uint32
		Flags, Type uint16
		Cookie      uint64
		Offset      int64
		Length      uint32
	}
	if err := binary.Read(conn, binary.BigEndian, &r); err != nil {
		return err
	}
	if r.Magic != request || r.Length > longestWrite {
		return fmt.Errorf("not a request: %+v", r)
	}
	var data []byte
	var failed error
	switch r.Type {
	case cmdRead:
		data = make([]byte, r.Length)
		failed = d.read(r.Offset, data)
	case cmdWrite:
		written := make([]byte, r.Length)
		if _, err := io.ReadFull(conn, written); err != nil {
			return err
		}
		failed = d.write(r.Offset, written)
	case cmdFlush:
		failed = d.flush()
	case cmdDisc:
		return io.EOF
	default:
		failed = fmt.Errorf("command %d is unknown", r.Type)
	}
	if failed != nil {
		d.t.Errorf("disk: %v", failed)
		return send(conn, uint32(simpleReply), uint32(errIO), r.Cookie)
	}
	return send(conn, uint32(simpleReply), uint32(0), r.Cookie, data)
}
