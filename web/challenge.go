package web

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// challengePath is where an ACME server looks whether a name belongs to this portal.
const challengePath = "/.well-known/acme-challenge/"

// answerChallenge is GET /.well-known/acme-challenge/{token} (RFC 8555 section 8.3). It answers
// tokens of an order that runs, on whichever replica, and no others.
func (s publicFiles) answerChallenge(w http.ResponseWriter, r *http.Request) error {
	answer, err := s.challenge(r.Context(), chi.URLParam(r, "token"), s.now())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, err = fmt.Fprint(w, answer)
	return err
}
