package web

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"certportal/internal/deliver"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

const (
	// seedLabel separates the salts of a file from the other values derived from its
	// pickup (RFC 5869).
	seedLabel = "certportal pkcs12 "

	// seedLength is more than any format needs, in bytes.
	seedLength = 1024
)

// delivery is one download.
type delivery struct {
	by     portal.Actor
	token  enroll.Token
	file   enroll.File
	name   string // of the device
	number int    // of the file, among those of the person
	kind   string // media type
	shown  bool   // opened by the browser, not saved
	ext    string // of the file's name
	data   []byte
	etag   string // with its quotes

	challenge *enroll.Challenge // in place of a key in the file; nil for a pickup
}

// openDelivery opens the pickup or challenge in the address and makes the file.
func (s fileDownloads) openDelivery(r *http.Request) (delivery, error) {
	d := delivery{
		by:    s.reader(r),
		token: enroll.Token(chi.URLParam(r, "token")),
	}
	d.ext = strings.TrimPrefix(path.Ext(chi.URLParam(r, "file")), ".")
	if d.ext != "p12" && (d.ext != profileExt || s.profiles == nil) {
		return d, portal.ErrNotFound
	}
	err := s.openPickupFile(r, &d)
	if errors.Is(err, portal.ErrNotFound) {
		err = s.openChallenge(r, &d)
	}
	if err != nil {
		return d, err
	}
	sum := sha256.Sum256(d.data)
	d.etag = `"` + hex.EncodeToString(sum[:16]) + `"`
	return d, nil
}

// openPickupFile opens a pickup and makes its file.
func (s fileDownloads) openPickupFile(r *http.Request, d *delivery) error {
	var err error
	if d.file, err = s.registrar.OpenFile(r.Context(), d.token); err != nil {
		return err
	}
	d.kind, d.name, d.number = deliver.TypePKCS12, d.file.Device.Name, d.file.Number
	if d.ext == profileExt {
		d.kind = deliver.TypeProfile
		d.data, d.shown, err = s.makeProfile(r, d.file)
	} else {
		d.data, err = makeFile(r, d.file)
	}
	return err
}

// size is the length of the file in bytes.
func (d delivery) size() int64 { return int64(len(d.data)) }

// serveDownload is GET and HEAD /d/{token}/{file}. The token opens the file without a
// cookie: download managers drop cookies. Only a complete file counts as a read; HEAD,
// prefetching and ranges do not. A range still counts as delivery, otherwise the sweep
// would revoke what was fetched in ranges.
func (s fileDownloads) serveDownload(w http.ResponseWriter, r *http.Request) error {
	if isPrefetch(r) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	}
	err := s.serveFile(w, r)
	var gone *portal.Gone
	if errors.As(err, &gone) && r.Method == http.MethodGet {
		s.registrar.NoteFileRefused(r.Context(), s.reader(r), enroll.Token(chi.URLParam(r, "token")), gone)
	}
	return err
}

// reader is who asks for a file: it needs no session.
func (s fileDownloads) reader(r *http.Request) portal.Actor {
	return portal.Actor{Role: portal.Employee, Address: clientAddress(r), Request: requestInfoOf(r).id}
}

func (s fileDownloads) serveFile(w http.ResponseWriter, r *http.Request) error {
	d, err := s.openDelivery(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", d.kind)
	disposition := deliver.ContentDisposition
	if d.shown {
		disposition = deliver.InlineDisposition
	}
	h.Set("Content-Disposition", disposition(s.org, d.name, d.number, d.ext))
	h.Set("ETag", d.etag)
	if isBeyond(r.Header, d.size()) {
		// ServeContent would remove no-store.
		h.Set("Content-Range", "bytes */"+strconv.Itoa(len(d.data)))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return nil
	}
	if d.challenge != nil && r.Method != http.MethodHead {
		return s.serveDeviceKeyProfile(w, r, d)
	}
	if r.Method != http.MethodHead {
		if !isPart(r.Header, d.etag, d.size()) {
			return s.deliverWhole(w, r, d)
		}
		if err := s.notePart(r, d); err != nil {
			clearFileHeaders(h)
			return err
		}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.data))
	return nil
}

// notePart records a range before it is sent: it holds a part of the key, and the
// portal cannot know which range completes the file.
func (s fileDownloads) notePart(r *http.Request, d delivery) error {
	// Without these conditions, which may answer 304 or 412: a range would be recorded
	// that is not sent. Clients cannot need them, because the file is not cached.
	r.Header.Del("If-None-Match")
	r.Header.Del("If-Match")
	err := s.registrar.NotePart(r.Context(), d.by, d.file, d.token)
	if errors.Is(err, portal.ErrConflict) {
		// The file expired since it was opened: opening it again returns why.
		if _, ended := s.registrar.OpenFile(r.Context(), d.token); ended != nil {
			return ended
		}
	}
	return err
}

// deliverWhole sends the file and counts the read. The read is claimed and recorded
// before the first byte, so that concurrent readers stay within the limit, and
// returned when the connection breaks. Once the last byte is flushed the file counts
// as delivered, even if the client closes the connection right after.
func (s fileDownloads) deliverWhole(w http.ResponseWriter, r *http.Request, d delivery) error {
	if err := s.registrar.ClaimRead(r.Context(), d.by, d.file, d.token); err != nil {
		clearFileHeaders(w.Header())
		return err
	}
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.Itoa(len(d.data)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(d.data)
	if err == nil {
		// A short file fits the buffer: only flushing shows that the connection is down.
		err = flush(w)
	}
	if err != nil {
		if back := s.registrar.ReturnRead(r.Context(), d.token); back != nil {
			s.log.Error("returning a read", "request", requestInfoOf(r).id, "err", back)
		}
		return nil
	}
	if err := s.registrar.ConfirmRead(r.Context(), d.token); err != nil {
		// The file is sent; an error page would follow it.
		s.log.Error("confirming a read", "request", requestInfoOf(r).id, "err", err)
	}
	return nil
}

// flush sends what is buffered and returns the error, which the recorder of the access
// log would drop.
func flush(w http.ResponseWriter) error {
	if recorder, ok := w.(middleware.WrapResponseWriter); ok {
		w = recorder.Unwrap()
	}
	return http.NewResponseController(w).Flush()
}

// clearFileHeaders removes the headers of a file before an error page.
func clearFileHeaders(h http.Header) {
	h.Del("Content-Disposition")
	h.Del("ETag")
}

// makeFile makes the PKCS#12 from the encrypted key. Its salts are derived from the
// pickup and the format, so that a retry and a range get the same bytes.
func makeFile(r *http.Request, file enroll.File) ([]byte, error) {
	format := formatFor(file.Device.Platform, clientOf(r))
	if asked := r.URL.Query()["format"]; len(asked) > 0 {
		var err error
		if format, err = deliver.ParseFormat(asked[0]); err != nil {
			return nil, fmt.Errorf("%w: %w", errForm, err)
		}
	}
	b, err := bundleOf(file, format)
	if err != nil {
		return nil, err
	}
	return deliver.PKCS12(b)
}

// bundleOf collects the content of a PKCS#12 in a format.
func bundleOf(file enroll.File, format deliver.Format) (deliver.Bundle, error) {
	seed, err := hkdf.Key(sha256.New, file.Seed[:], nil, seedLabel+string(format), seedLength)
	if err != nil {
		return deliver.Bundle{}, fmt.Errorf("deriving salts: %w", err)
	}
	return deliver.Bundle{
		Key: file.Key, Leaf: file.Leaf, Chain: file.Chain, Name: file.Device.Name,
		Password: file.Password, Format: format, Rand: bytes.NewReader(seed),
	}, nil
}

// isPart reports whether the response is less than the whole file: one range that
// leaves something out, of the file with this ETag. All other requests, those for
// several ranges too, get the whole file and count (RFC 9110 section 14.2 lets a
// server ignore Range), so that no form of Range reads the whole file uncounted.
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

// isBeyond reports whether the only range starts after the end of the file: a client
// resumes a complete download.
func isBeyond(h http.Header, size int64) bool {
	spec, ok := strings.CutPrefix(h.Get("Range"), "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return false
	}
	from, _, _ := strings.Cut(spec, "-")
	first, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
	return err == nil && first >= size
}
