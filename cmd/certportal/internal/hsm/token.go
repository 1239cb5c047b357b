package hsm

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"certportal/ca"
)

// session is an open token. The calls may hang, but for none of them is a lock held.
type session interface {
	find(ref Reference) ([]tokenKey, error) // keys with its label and id
	create(ref Reference, kind ca.KeyKind) (crypto.PublicKey, error)
	close()
}

// tokenKey is a key of an open token.
type tokenKey interface {
	crypto.Signer
	Delete() error
}

// token is one token and what is known of it.
type token struct {
	of    *Tokens
	c     TokenConfig
	turns chan struct{} // one for each signature that is made at the same time

	mu      sync.Mutex
	open    session
	keys    map[string]tokenKey  // found in this session, by name
	lacks   map[string]error     // why watched keys were not found, by id
	watched map[string]Reference // by id
	trouble error                // why the token is closed, or open and of no use
	tried   time.Time            // when it was opened last, with trouble
	refused [sha256.Size]byte    // hash of a PIN that the token refused; zero: none
	said    string               // trouble that was logged last
}

// ready gives what is wrong with the token or a key of it.
func (t *token) ready(ref Reference) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.trouble != nil:
		return t.trouble
	case t.open == nil:
		return errUnopened
	}
	return t.lacks[string(ref.ID)]
}

// usable gives the session if there is one without trouble.
func (t *token) usable() (session, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open, t.open != nil && t.trouble == nil
}

// key gives a key of the token, which it opens if need be. With trouble it opens it at most
// once in a while, so that requests do not wait for a token that is gone.
func (t *token) key(ref Reference) (tokenKey, session, error) {
	if _, ok := t.usable(); !ok {
		t.mu.Lock()
		trouble, wait := t.trouble, t.of.c.Every-time.Since(t.tried)
		t.mu.Unlock()
		if trouble != nil && wait > 0 {
			return nil, nil, trouble
		}
		if err := t.connect(trouble != nil); err != nil {
			return nil, nil, err
		}
	}
	t.mu.Lock()
	open, known := t.open, t.keys[ref.name()]
	t.mu.Unlock()
	if known != nil {
		return known, open, nil
	}
	if open == nil {
		return nil, nil, errUnopened
	}
	found, err := t.find(open, ref)
	return found, open, err
}

// find looks for a key in an open token, and compares its public key with that of the
// reference: another key under the same label must not sign.
func (t *token) find(open session, ref Reference) (tokenKey, error) {
	var list []tokenKey
	err := t.bounded(func() (err error) {
		list, err = open.find(ref)
		return err
	})
	switch {
	case err != nil:
		t.lost(open, err)
		return nil, err
	case len(list) == 0:
		return nil, ErrNoKey
	case len(list) > 1:
		return nil, fmt.Errorf("there are %d keys with this label and id: name both, or remove those of no use", len(list))
	}
	if public, ok := ref.Public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(list[0].Public()) {
		return nil, errors.New("it is another key than the one whose file or certificate the portal has")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == open {
		t.keys[ref.name()] = list[0]
	}
	return list[0], nil
}

// bounded calls f and waits for it a limited time.
func (t *token) bounded(f func() error) error { return bounded(t.of.c.Patience, f) }

func bounded(patience time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errSilent
	}
}

// atOnce is how many signatures a token makes at the same time. Tokens that make one after
// the other then answer the last of them in time: waiting for a turn is not silence.
const atOnce = 4

// sign signs, and once more where only the session had ended. The same octets are signed
// again, and only one of the signatures is used.
func (t *token) sign(ref Reference, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	timer := time.NewTimer(t.of.c.Patience)
	defer timer.Stop()
	select {
	case t.turns <- struct{}{}:
		defer func() { <-t.turns }()
	case <-timer.C:
		return nil, errBusy
	}
	for try := 1; try <= 2; try++ {
		var key tokenKey
		var open session
		if key, open, err = t.key(ref); err != nil {
			return nil, err
		}
		made := make(chan []byte, 1) // a late answer must not be written where it is read
		err = t.bounded(func() error {
			signed, err := key.Sign(rand.Reader, digest, opts)
			made <- signed
			return err
		})
		if err == nil {
			return <-made, nil
		}
		t.lost(open, err)
		if !errors.Is(err, errSession) {
			break
		}
	}
	return nil, err
}

// making is how long a token may take to make a key: small ones need a minute for RSA 4096.
const making = 3 * time.Minute

// create makes a key, unless there is one with its label.
func (t *token) create(ref Reference, kind ca.KeyKind) (crypto.PublicKey, error) {
	if err := t.connect(false); err != nil {
		return nil, err
	}
	open, ok := t.usable()
	if !ok {
		return nil, errUnopened
	}
	made := make(chan crypto.PublicKey, 1)
	err := bounded(making, func() error {
		there, err := open.find(ref)
		if err == nil && len(there) > 0 {
			err = errors.New("there is a key with its label already")
		}
		if err != nil {
			return err
		}
		public, err := open.create(ref, kind)
		made <- public
		return err
	})
	if err != nil {
		return nil, err
	}
	public := <-made
	if got, err := ca.KindOf(public); err != nil || got != kind {
		return nil, fmt.Errorf("the token made a key of another kind than %s", kind)
	}
	return public, nil
}
