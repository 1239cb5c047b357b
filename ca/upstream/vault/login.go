package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// Login is one way to get a token. Exactly one of Token, SecretID and CertificateRole is
// set.
type Login struct {
	// Token gives a token, such as one that Vault Agent keeps in a file. It is read for
	// each request, and renewed when half of its life is over.
	Token func() (string, error)

	// RoleID and SecretID log in by AppRole.
	RoleID   string
	SecretID func() (string, error)

	// CertificateRole logs in by the TLS client certificate of the connection, with the
	// name of an entry of the method cert.
	CertificateRole string

	// Mount is where the method AppRole or cert is. Optional: default approle or cert.
	Mount string
}

func (l Login) check() error {
	set := 0
	for _, one := range []bool{l.Token != nil, l.SecretID != nil, l.CertificateRole != ""} {
		if one {
			set++
		}
	}
	if set != 1 {
		return errors.New("want exactly one of token, AppRole and certificate to log in to Vault")
	}
	if l.SecretID != nil && l.RoleID == "" {
		return errors.New("role id of the AppRole is missing")
	}
	return nil
}

// request gives path and body of a login, and the secret in it.
func (l Login) request() (path string, body any, secret string, err error) {
	if l.CertificateRole != "" {
		return "/v1/auth/" + escapePath(mountOr(l.Mount, "cert")) + "/login", map[string]string{"name": l.CertificateRole}, "", nil
	}
	if secret, err = l.SecretID(); err != nil {
		return "", nil, "", fmt.Errorf("reading secret id: %w", err)
	}
	secret = strings.TrimSpace(secret)
	return "/v1/auth/" + escapePath(mountOr(l.Mount, "approle")) + "/login", map[string]string{"role_id": l.RoleID, "secret_id": secret}, secret, nil
}

func mountOr(mount, usual string) string {
	if mount = strings.Trim(mount, "/"); mount != "" {
		return mount
	}
	return usual
}

// session holds the token of the last login.
type session struct {
	client    *wire.Client
	namespace string
	login     Login

	loggingIn chan struct{}   // has room for one login, so that concurrent requests share it
	guard     *upstream.Guard // of the secret id

	mu    sync.Mutex
	known string
}

func (s *session) header(token string) http.Header {
	h := http.Header{"X-Vault-Request": {"true"}}
	if token != "" {
		h.Set("X-Vault-Token", token)
	}
	if s.namespace != "" {
		h.Set("X-Vault-Namespace", s.namespace)
	}
	return h
}

// token gives a token that Vault accepted just now. A refused one is replaced by one login.
func (s *session) token(ctx context.Context) (string, error) {
	if s.login.Token != nil {
		text, err := s.login.Token()
		if err != nil {
			return "", fmt.Errorf("reading token: %w", err)
		}
		token := strings.TrimSpace(text)
		if !validToken(token) {
			return "", errors.New("token is empty or has characters that no token has")
		}
		return token, s.lookup(ctx, token)
	}
	refused := ""
	if token := s.last(); token != "" {
		err := s.lookup(ctx, token)
		if denied, is := errors.AsType[*upstream.Denied](err); !is || !denied.Credentials {
			return token, err
		}
		refused = token
		s.forget(token)
	}
	select {
	case s.loggingIn <- struct{}{}:
		defer func() { <-s.loggingIn }()
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for another login to Vault: %w", ctx.Err())
	}
	if token := s.last(); token != "" && token != refused {
		return token, nil // of another request, just now
	}
	token, err := s.logIn(ctx)
	if err != nil {
		return "", fmt.Errorf("logging in to Vault: %w", err)
	}
	return token, nil
}

// validToken keeps what would break a header out of it.
func validToken(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (s *session) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known
}

// forget drops a token that was refused, unless another login replaced it.
func (s *session) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == token {
		s.known = ""
	}
}

func (s *session) logIn(ctx context.Context) (string, error) {
	path, body, secret, err := s.login.request()
	if err != nil {
		return "", err
	}
	var reply wire.Reply
	send := func() error {
		reply, err = s.call(ctx, path, "", body)
		// A wrong role or secret is status 400.
		if denied, is := errors.AsType[*upstream.Denied](err); is && reply.Status == http.StatusBadRequest {
			denied.Credentials, denied.SignIn = true, true
		}
		return err
	}
	if secret == "" {
		err = send()
	} else {
		err = s.guard.Try(ctx, secret, send)
	}
	if err != nil {
		return "", err
	}
	var answer struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	if err := reply.JSON(&answer); err != nil {
		return "", err
	}
	if !validToken(answer.Auth.Token) {
		return "", errors.New("answer to the login has no token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = answer.Auth.Token
	return s.known, nil
}

// lookup asks whether a token is good, and renews it when half of its life is over.
func (s *session) lookup(ctx context.Context, token string) error {
	reply, err := s.do(ctx, wire.Call{Method: http.MethodGet, Path: "/v1/auth/token/lookup-self", Header: s.header(token)})
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			TTL       int64 `json:"ttl"`          // seconds left
			Whole     int64 `json:"creation_ttl"` // seconds, 0 for tokens without end
			Renewable bool  `json:"renewable"`
		} `json:"data"`
	}
	if err := reply.JSON(&answer); err != nil {
		return err
	}
	if answer.Data.Renewable && answer.Data.TTL*2 < answer.Data.Whole {
		// The token is good for now: when it cannot be renewed, the next lookup says so.
		_, _ = s.call(ctx, "/v1/auth/token/renew-self", token, struct{}{})
	}
	return nil
}

// health says whether Vault is sealed. It asks without token and namespace.
func (s *session) health(ctx context.Context) error {
	reply, err := s.client.Do(ctx, wire.Call{Method: http.MethodGet, Path: "/v1/sys/health?standbyok=true&perfstandbyok=true"})
	if err != nil {
		return err
	}
	var answer struct {
		Initialized bool `json:"initialized"`
		Sealed      bool `json:"sealed"`
	}
	switch err := reply.JSON(&answer); {
	case err != nil:
		return err
	case !answer.Initialized:
		return errors.New("server is not initialized")
	case answer.Sealed:
		return errors.New("server is sealed: it signs nothing until it is unsealed")
	}
	return nil
}

// mayUpdate asks whether the policies of the token allow it to write to paths.
func (s *session) mayUpdate(ctx context.Context, token string, paths ...string) error {
	reply, err := s.call(ctx, "/v1/sys/capabilities-self", token, map[string][]string{"paths": paths})
	if err != nil {
		return err
	}
	var answer struct {
		Data map[string]any `json:"data"`
	}
	if err := reply.JSON(&answer); err != nil {
		return err
	}
	for _, path := range paths {
		granted, _ := answer.Data[path].([]any)
		if !slices.Contains(granted, any("update")) && !slices.Contains(granted, any("root")) {
			return &upstream.Denied{Code: "capabilities-self", Credentials: true, Text: "the policies of the token do not allow to update " + path}
		}
	}
	return nil
}

func (s *session) call(ctx context.Context, path, token string, body any) (wire.Reply, error) {
	call, err := wire.Post(path, body)
	if err != nil {
		return wire.Reply{}, err
	}
	for name, values := range s.header(token) {
		call.Header[name] = values
	}
	return s.do(ctx, call)
}

// do sends a call. The reply is there with a refusal too.
func (s *session) do(ctx context.Context, call wire.Call) (wire.Reply, error) {
	reply, err := s.client.Do(ctx, call)
	if err != nil {
		return wire.Reply{}, err
	}
	return reply, refusal(reply)
}
