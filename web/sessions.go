package web

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/sessions"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// sessionCookie is the name of the session's cookie. Browsers refuse the prefix
// without Secure, with a Domain, or with another Path.
const sessionCookie = "__Host-certportal"

// sessionRecords keeps sessions. It gets a hash and encrypted bytes: a copy of the
// database opens no session and reads none.
type sessionRecords interface {
	// Session returns the data of a session and records its use. It returns
	// portal.ErrNotFound when there is none, or it has timed out.
	Session(ctx context.Context, idHash [32]byte, now time.Time) ([]byte, error)

	// SaveSession adds or replaces a session of the person. It ends after idle
	// without use, and at expires at the latest.
	SaveSession(ctx context.Context, idHash [32]byte, person string, data []byte,
		idle time.Duration, expires, now time.Time) error

	// EndSession removes a session; removing none is no error.
	EndSession(ctx context.Context, idHash [32]byte) error

	// SessionOver says how a session ended that is over. It returns portal.ErrNotFound
	// when it is open or unknown.
	SessionOver(ctx context.Context, idHash [32]byte, now time.Time) (signin.SessionOver, error)

	// KeepSessionOver replaces the data of a session that timed out, which stays over.
	KeepSessionOver(ctx context.Context, idHash [32]byte, data []byte, now time.Time) error
}

// cookieSecret is the content of a cookie, which the portal does not keep.
type cookieSecret [32]byte

// parseSecret decodes a cookie's value. It accepts the canonical encoding only.
func parseSecret(value string) (cookieSecret, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(b) != len(cookieSecret{}) {
		return cookieSecret{}, false
	}
	return cookieSecret(b), true
}

func (c cookieSecret) String() string { return base64.RawURLEncoding.EncodeToString(c[:]) }

// derive derives a value under a label (RFC 5869).
func (c cookieSecret) derive(label string) [32]byte { return deriveKey(c, nil, label) }

func deriveKey(from [32]byte, salt []byte, label string) [32]byte {
	b, err := hkdf.Key(sha256.New, from[:], salt, label, sha256.Size)
	if err != nil { // only for lengths over 255 hashes
		panic(err)
	}
	return [32]byte(b)
}

// sessionKey belongs to one session: cookie and secret of the installation together.
// Everything else of a session is derived from it, each value under its own label, so
// that neither the row's id nor the pickup key reveals the others. Who can write the
// database but lacks the secret cannot make a row for a cookie of their choice.
type sessionKey [32]byte

// keyOf returns the key of a session by its ID, the value of the cookie, and false for
// an unsaved one.
func (s *sessionStore) keyOf(id string) (sessionKey, bool) {
	c, ok := parseSecret(id)
	if !ok {
		return sessionKey{}, false
	}
	return deriveKey(c, s.key[:], "certportal session"), true
}

// idHash is the id of the session's row.
func (k sessionKey) idHash() [32]byte { return deriveKey(k, nil, "certportal session id") }

// pickupKey is the key from which the tokens of this session's pickups are derived.
func (k sessionKey) pickupKey() enroll.PickupKey {
	return enroll.PickupKey(deriveKey(k, nil, "certportal pickup key"))
}

// aead encrypts the values of the session. Seal and Open authenticate the id too, so
// that rows cannot be swapped.
func (k sessionKey) aead() (cipher.AEAD, error) {
	key := deriveKey(k, nil, "certportal session values")
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("keying session cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sessionStore implements sessions.Store. A session is new until it is saved; its ID
// is then the value of the cookie, a secret that is never logged.
type sessionStore struct {
	records sessionRecords
	now     func() time.Time
	idle    time.Duration
	key     [32]byte // of the installation, for sessions
	log     *slog.Logger
}

// Get returns the session of the request, cached per request.
func (s *sessionStore) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New reads the session of the cookie, or makes an unsaved one with IsNew. The error
// is that of the store; an invalid cookie is no error. A row that was not written by the
// portal, or whose sealed end is over, is no session: the columns of the row can be
// changed in the database, the sealed values cannot.
func (s *sessionStore) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	session.IsNew = true
	cookie, err := r.Cookie(name)
	if err != nil {
		return session, nil
	}
	key, ok := s.keyOf(cookie.Value)
	if !ok {
		return session, nil
	}
	data, err := s.records.Session(r.Context(), key.idHash(), s.now())
	if errors.Is(err, portal.ErrNotFound) {
		return session, nil
	}
	if err != nil {
		return session, fmt.Errorf("reading session: %w", err)
	}
	if err := key.open(data, session.Values); err != nil {
		s.log.Warn("a session's row was changed outside the portal: it is no session", "err", err)
		return session, nil
	}
	if !s.now().Before(accountOf(session).expires) {
		clear(session.Values)
		return session, nil
	}
	session.ID, session.IsNew = cookie.Value, false
	return session, nil
}

// Save ends the session when its MaxAge is negative. Otherwise it saves it: under a
// new id when it has none, so that a sign-in discards the cookie that the browser sent
// (session fixation).
func (s *sessionStore) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	if session.Options.MaxAge < 0 {
		return s.end(r.Context(), w, session)
	}
	if session.ID == "" {
		var fresh cookieSecret
		rand.Read(fresh[:]) // never returns an error, see crypto/rand
		session.ID = fresh.String()
	}
	key, ok := s.keyOf(session.ID)
	if !ok {
		return errors.New("saving session: id is not a secret of this store")
	}
	data, err := key.seal(session.Values)
	if err != nil {
		return fmt.Errorf("sealing session: %w", err)
	}
	a := accountOf(session)
	err = s.records.SaveSession(r.Context(), key.idHash(), string(a.person), data, s.idle, a.expires, s.now())
	if err != nil {
		return fmt.Errorf("saving session: %w", err)
	}
	session.IsNew = false
	http.SetCookie(w, newSessionCookie(session.ID, 0))
	return nil
}

// over says how the session of the request's cookie ended. The error wraps
// portal.ErrNotFound without one, and for one that is open.
func (s *sessionStore) over(r *http.Request) (signin.SessionOver, sessionKey, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return signin.SessionOver{}, sessionKey{}, portal.ErrNotFound
	}
	key, ok := s.keyOf(cookie.Value)
	if !ok {
		return signin.SessionOver{}, sessionKey{}, portal.ErrNotFound
	}
	over, err := s.records.SessionOver(r.Context(), key.idHash(), s.now())
	return over, key, err
}

// timedOut returns the values of the session of the request's cookie if it timed out,
// else nothing. They say whose it was and open nothing.
func (s *sessionStore) timedOut(r *http.Request) (map[any]any, sessionKey, error) {
	over, key, err := s.over(r)
	if errors.Is(err, portal.ErrNotFound) || err == nil && over.Data == nil {
		return nil, key, nil
	}
	if err != nil {
		return nil, key, fmt.Errorf("reading session that timed out: %w", err)
	}
	values := map[any]any{}
	if err := key.open(over.Data, values); err != nil {
		s.log.Warn("a session's row was changed outside the portal: nothing of it is kept", "err", err)
		return nil, key, nil
	}
	return values, key, nil
}

// keepTimedOut saves values in the place of those of a session that timed out.
func (s *sessionStore) keepTimedOut(ctx context.Context, key sessionKey, values map[any]any) error {
	data, err := key.seal(values)
	if err != nil {
		return fmt.Errorf("sealing session that timed out: %w", err)
	}
	return s.records.KeepSessionOver(ctx, key.idHash(), data, s.now())
}

// end deletes the row before the cookie: after an error the person is still signed in
// and sees the error.
func (s *sessionStore) end(ctx context.Context, w http.ResponseWriter, session *sessions.Session) error {
	if key, ok := s.keyOf(session.ID); ok {
		if err := s.records.EndSession(ctx, key.idHash()); err != nil {
			return fmt.Errorf("ending session: %w", err)
		}
	}
	http.SetCookie(w, newSessionCookie("", -1))
	return nil
}

// newSessionCookie makes the cookie. SameSite is Lax, not Strict: links in mail and QR
// codes must find the session, and a GET changes nothing.
func newSessionCookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookie, Value: value, MaxAge: maxAge,
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// seal encrypts the values, which must be strings with string keys.
func (k sessionKey) seal(values map[any]any) ([]byte, error) {
	plain := make(map[string]string, len(values))
	for name, v := range values {
		key, keyOK := name.(string)
		value, valueOK := v.(string)
		if !keyOK || !valueOK {
			return nil, fmt.Errorf("value %v of type %T under key of type %T: want strings", k, v, k)
		}
		plain[key] = value
	}
	data, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("encoding values: %w", err)
	}
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	id := k.idHash()
	return aead.Seal(nil, nil, data, id[:]), nil
}

// open decrypts the result of seal into values.
func (k sessionKey) open(data []byte, values map[any]any) error {
	aead, err := k.aead()
	if err != nil {
		return err
	}
	id := k.idHash()
	data, err = aead.Open(nil, nil, data, id[:])
	if err != nil {
		return fmt.Errorf("decrypting values: %w", err)
	}
	var plain map[string]string
	if err := json.Unmarshal(data, &plain); err != nil {
		return fmt.Errorf("decoding values: %w", err)
	}
	for name, v := range plain {
		values[name] = v
	}
	return nil
}
