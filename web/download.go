package web

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/deliver"
	"certportal/enroll"
)

const (
	// seedLabel keeps the salts of a file apart from whatever else is derived
	// from its pickup.
	seedLabel = "certportal pkcs12 "

	// seedLength is more randomness than any format takes, in bytes.
	seedLength = 1024
)

// serveDownload is GET and HEAD /d/{token}/{file}. The token opens the file,
// without a cookie: download managers drop cookies. Only a whole file that went
// out counts as a read; looking (HEAD), fetching ahead and pieces do not.
func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request) error {
	if isPrefetch(r) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	}
	token := enroll.Token(chi.URLParam(r, "token"))
	if path.Ext(chi.URLParam(r, "file")) != ".p12" {
		return enroll.ErrNotFound
	}
	file, err := s.registrar.OpenFile(r.Context(), token)
	if err != nil {
		return err
	}
	data, err := makeFile(r, file)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	h := w.Header()
	h.Set("Content-Type", deliver.TypePKCS12)
	h.Set("Content-Disposition", deliver.ContentDisposition(s.org, file.Device.Name, "p12"))
	h.Set("ETag", etag)
	if isBeyond(r.Header, int64(len(data))) {
		// Not left to ServeContent, which would take the no-store away.
		h.Set("Content-Range", "bytes */"+strconv.Itoa(len(data)))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return nil
	}
	if r.Method == http.MethodHead || isPart(r.Header, etag, int64(len(data))) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return nil
	}
	return s.deliverWhole(w, r, file, token, data)
}

// deliverWhole sends the file and counts it. The read is claimed before the
// first byte, so that readers at the same time stay within the limit, and given
// back when the line broke.
func (s *Server) deliverWhole(w http.ResponseWriter, r *http.Request, file enroll.File, token enroll.Token, data []byte) error {
	if err := s.registrar.ClaimRead(r.Context(), file, token); err != nil {
		clearFileHeaders(w.Header())
		return err
	}
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(data)
	if err == nil {
		// A short file fits the buffer whole: only flushing tells that the line is
		// down.
		err = http.NewResponseController(w).Flush()
	}
	if err == nil {
		err = r.Context().Err()
	}
	if err != nil {
		if back := s.registrar.ReturnRead(r.Context(), token); back != nil {
			s.log.Error("giving back a read", "request", visitOf(r).ref, "err", back)
		}
		return nil
	}
	by := enroll.By{Role: enroll.Employee, Address: clientAddress(r), Request: visitOf(r).ref}
	if err := s.registrar.ConfirmRead(r.Context(), by, file, token); err != nil {
		// The file is out; the page would land behind it.
		s.log.Error("confirming a read", "request", visitOf(r).ref, "err", err)
	}
	return nil
}

// clearFileHeaders makes room for a page.
func clearFileHeaders(h http.Header) {
	h.Del("Content-Disposition")
	h.Del("ETag")
}

// makeFile makes the PKCS#12 now, from the sealed key. Its salts follow from the
// pickup and the format: a retry and a range are of the same file, to the byte.
func makeFile(r *http.Request, file enroll.File) ([]byte, error) {
	format := formatFor(file.Device.Platform, clientOf(r))
	if asked := r.URL.Query()["format"]; len(asked) > 0 {
		var err error
		if format, err = deliver.ParseFormat(asked[0]); err != nil {
			return nil, fmt.Errorf("%w: %w", errForm, err)
		}
	}
	seed, err := hkdf.Key(sha256.New, file.Seed[:], nil, seedLabel+string(format), seedLength)
	if err != nil {
		return nil, fmt.Errorf("deriving salts: %w", err)
	}
	return deliver.PKCS12(deliver.Bundle{
		Key: file.Key, Leaf: file.Leaf, Chain: file.Chain, Name: file.Device.Name,
		Password: file.Password, Format: format, Rand: bytes.NewReader(seed),
	})
}

// isPart reports whether the request is answered with less than the whole file:
// one range that leaves something out, of the file with this ETag. Everything
// else, several ranges too, gets the whole file and counts (RFC 9110 section
// 14.2 lets a server ignore Range), so that no spelling of a range reads it all
// for nothing.
func isPart(h http.Header, etag string, size int64) bool {
	if condition := h.Get("If-Range"); condition != "" && condition != etag {
		return false
	}
	spec, ok := strings.CutPrefix(h.Get("Range"), "bytes=")
	if !ok {
		return false
	}
	from, to, ok := strings.Cut(spec, "-")
	if !ok {
		return false
	}
	first, firstErr := strconv.ParseUint(strings.TrimSpace(from), 10, 62)
	last, lastErr := strconv.ParseUint(strings.TrimSpace(to), 10, 62)
	switch {
	case strings.TrimSpace(from) == "": // the last bytes
		return lastErr == nil && last > 0 && int64(last) < size
	case firstErr != nil:
		return false
	case strings.TrimSpace(to) == "":
		return first > 0
	}
	return lastErr == nil && last >= first && (first > 0 || int64(last) < size-1)
}

// isBeyond reports whether the one range asked for starts behind the end of the
// file: somebody resumes what they have whole.
func isBeyond(h http.Header, size int64) bool {
	spec, ok := strings.CutPrefix(h.Get("Range"), "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return false
	}
	from, _, _ := strings.Cut(spec, "-")
	first, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
	return err == nil && first >= size
}
