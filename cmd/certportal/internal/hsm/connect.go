package hsm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// connect opens the token if it is not open. A fresh start closes all tokens of the module
// before: some modules see a token that came back only after they were initialised anew.
func (t *token) connect(fresh bool) error {
	err := t.of.within(func() error {
		if _, ok := t.usable(); ok {
			return nil
		}
		return t.reopen(fresh)
	})
	if err == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tried = time.Now()
	if t.trouble == nil && t.open == nil {
		t.trouble = err
	}
	return err
}

// reopen closes and opens the token.
func (t *token) reopen(fresh bool) error {
	pin, err := t.c.PIN()
	if err != nil {
		return t.fail(fmt.Errorf("PIN: %w", err))
	}
	defer clear(pin)
	sum := sha256.Sum256(pin)
	if t.wasRefused(sum) {
		return t.fail(fmt.Errorf("PIN in %s: %w: it is not tried again until the file changes, because tokens lock after a few wrong PINs", t.c.PINFile, ErrPIN))
	}
	if fresh {
		t.of.closeAll()
	}
	t.detach()
	opened, err := openSession(t.of.c.Module, t.c.Label, string(pin))
	if errors.Is(err, ErrPIN) {
		t.mu.Lock()
		t.refused = sum
		t.mu.Unlock()
		err = fmt.Errorf("PIN in %s: %w: put the right one there", t.c.PINFile, err)
	}
	if err != nil {
		return t.fail(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open, t.keys, t.trouble, t.refused = opened, make(map[string]tokenKey), nil, [sha256.Size]byte{}
	return nil
}

func (t *token) wasRefused(pin [sha256.Size]byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused == pin
}

// fail notes why the token cannot be used.
func (t *token) fail(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trouble, t.tried = err, time.Now()
	return err
}

// lost notes that a session is of no use any more. Where only the session ended, the token
// may be opened again at once.
func (t *token) lost(of session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open != of || t.trouble != nil {
		return
	}
	t.trouble, t.tried = err, time.Now()
	if errors.Is(err, errSession) {
		t.tried = time.Time{}
	}
}

// detach closes the session, if there is one. It waits for calls that did not end.
func (t *token) detach() {
	t.mu.Lock()
	open := t.open
	t.open, t.keys = nil, nil
	t.mu.Unlock()
	if open != nil {
		open.close()
	}
}

func (t *Tokens) closeAll() {
	for _, label := range slices.Sorted(maps.Keys(t.tokens)) {
		t.tokens[label].detach()
	}
}

// Close closes all tokens.
func (t *Tokens) Close() error {
	return t.within(func() error {
		t.closeAll()
		return nil
	})
}

// Run looks after the watched keys until the context ends: it notices a token that goes
// away, and opens it again when it is back.
func (t *Tokens) Run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(t.c.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, label := range slices.Sorted(maps.Keys(t.tokens)) {
			t.tokens[label].look()
			t.tokens[label].note(log)
		}
	}
}

// watch adds a key to those that are looked after.
func (t *token) watch(ref Reference) {
	t.mu.Lock()
	if t.watched == nil {
		t.watched = make(map[string]Reference)
	}
	t.watched[string(ref.ID)] = ref
	t.mu.Unlock()
	t.look()
}

// look finds the watched keys, and opens the token anew when one is not found any more:
// then the token may have gone. A key that stays away does not disturb the others.
func (t *token) look() {
	t.mu.Lock()
	watched := maps.Clone(t.watched)
	t.mu.Unlock()
	if len(watched) == 0 {
		return
	}
	if open, ok := t.usable(); ok {
		if !t.findAll(open, watched) {
			return
		}
		t.lost(open, errors.New("a key is not found any more"))
	}
	if err := t.connect(true); err != nil {
		return
	}
	if open, ok := t.usable(); ok {
		t.findAll(open, watched)
	}
}

// findAll notes which keys are not there, and reports whether one was before.
func (t *token) findAll(open session, watched map[string]Reference) (anew bool) {
	lacks := make(map[string]error)
	for id, ref := range watched {
		if _, err := t.find(open, ref); err != nil {
			lacks[id] = err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range lacks {
		anew = anew || t.lacks[id] == nil
	}
	t.lacks = lacks
	return anew
}

// note logs what is wrong when it begins and when it is over.
func (t *token) note(log *slog.Logger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := ""
	if t.trouble != nil {
		text = t.trouble.Error()
	}
	for id, err := range t.lacks {
		if t.trouble == nil {
			text = fmt.Sprintf("key %q: %v", t.watched[id].Label, err)
		}
	}
	switch {
	case text == t.said:
	case text == "":
		log.Info("the token is back, its keys sign again", "token", t.c.Label)
	default:
		log.Error("a token cannot be used: what its keys would sign is sealed", "token", t.c.Label, "err", text)
	}
	t.said = text
}
