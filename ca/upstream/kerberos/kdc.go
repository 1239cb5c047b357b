package kerberos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/messages"
)

const (
	// kdcTimeout bounds a question to one KDC.
	kdcTimeout = 5 * time.Second

	// maxAnswer bounds an answer in octets: Windows makes tickets of at most 48,000.
	maxAnswer = 128 << 10
)

// errNoKDC means that no KDC could be asked.
var errNoKDC = errors.New("no KDC answers")

// realms makes the configuration of the library: AES, and of the text the KDCs only.
func (a *Account) realms() (*config.Config, error) {
	c := config.New()
	if a.config.Realms != nil {
		text, err := a.config.Realms()
		if err != nil {
			return nil, fmt.Errorf("reading KDCs: %w", err)
		}
		given, err := config.NewFromString(string(text))
		if _, other := errors.AsType[config.UnsupportedDirective](err); err != nil && !other {
			return nil, fmt.Errorf("reading KDCs: %w", err)
		}
		c.Realms = given.Realms
	}
	d := &c.LibDefaults
	d.DefaultRealm, d.DNSLookupKDC = a.realm, true
	d.DefaultTktEnctypeIDs, d.DefaultTGSEnctypeIDs, d.PermittedEnctypeIDs = aes(), aes(), aes()
	return c, nil
}

// send asks one KDC after the other, by TCP (RFC 4120 section 7.2.2). A refusal is a
// [messages.KRBError].
func (a *Account) send(ctx context.Context, c *config.Config, request interface{ Marshal() ([]byte, error) }) ([]byte, error) {
	raw, err := request.Marshal()
	if err != nil {
		return nil, err
	}
	_, kdcs, err := c.GetKDCs(a.realm, true)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKDC, err)
	}
	var errs []error
	for _, kdc := range kdcs {
		answer, err := exchange(ctx, kdc, raw)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var refusal messages.KRBError
		if refusal.Unmarshal(answer) == nil {
			return nil, refusal
		}
		return answer, nil
	}
	return nil, fmt.Errorf("%w: %w", errNoKDC, errors.Join(errs...))
}

func exchange(ctx context.Context, kdc string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, kdcTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", kdc)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		return nil, failed(ctx, kdc, err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, failed(ctx, kdc, err)
	}
	length := binary.BigEndian.Uint32(size[:])
	if length > maxAnswer {
		return nil, fmt.Errorf("%s: answer has %d octets, at most %d are read", kdc, length, maxAnswer)
	}
	answer := make([]byte, length)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, failed(ctx, kdc, err)
	}
	return answer, nil
}

func failed(ctx context.Context, kdc string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", kdc, err)
}
