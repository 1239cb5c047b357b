// Package static holds the few files a page refers to: one style sheet, one
// small script, and what the company adds (its colour, its logo).
//
// Each file is served under an address that holds a hash of its content, so that
// browsers may keep it for good (RFC 8246, immutable) and never show yesterday's
// style with today's page. The package refuses nothing and reads no request; the
// handler looks a name up and sends what it finds.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed app.css app.js staff.css staff.js
var files embed.FS

// Prefix is the folder of the addresses.
const Prefix = "/static/"

// File is a file beside the embedded ones: a name such as "logo.png" and its
// content. With the name of an embedded file it is appended to that one.
type File struct {
	Name string
	Data []byte
}

// Asset is a file ready to be sent.
type Asset struct {
	Path string // address with the hash, /static/app.0123456789ab.css
	Type string // media type for Content-Type
	Data []byte
	Gzip []byte // the same, compressed; nil where that gains nothing
}

// Set is all files of one portal. It is safe for concurrent use.
type Set struct {
	paths  map[string]string // "app.css" to its address
	assets map[string]Asset  // last part of the address to the file
}

// New reads the embedded files and those given, and compresses them once. It
// refuses a name whose ending it does not know.
func New(extra ...File) (*Set, error) {
	contents := map[string][]byte{}
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("listing embedded files: %w", err)
	}
	for _, entry := range entries {
		data, err := files.ReadFile(entry.Name())
		if err != nil {
			return nil, fmt.Errorf("reading embedded file %s: %w", entry.Name(), err)
		}
		contents[entry.Name()] = data
	}
	for _, file := range extra {
		contents[file.Name] = slices.Concat(contents[file.Name], file.Data)
	}
	s := &Set{paths: map[string]string{}, assets: map[string]Asset{}}
	for name, data := range contents {
		if err := s.add(File{Name: name, Data: data}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Path is the address of a file by its plain name, "app.css"; empty when there
// is no such file.
func (s *Set) Path(name string) string { return s.paths[name] }

// Lookup finds a file by the last part of its address, "app.0123456789ab.css".
func (s *Set) Lookup(name string) (Asset, bool) {
	a, ok := s.assets[name]
	return a, ok
}

func (s *Set) add(file File) error {
	mediaType, compress, err := kind(file.Name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(file.Data)
	ext := path.Ext(file.Name)
	name := strings.TrimSuffix(file.Name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	a := Asset{Path: Prefix + name, Type: mediaType, Data: file.Data}
	if compress {
		if a.Gzip, err = compressed(file.Data); err != nil {
			return fmt.Errorf("compressing %s: %w", file.Name, err)
		}
	}
	s.paths[file.Name] = a.Path
	s.assets[name] = a
	return nil
}

// kind names the media type by the ending. The list is closed: a type guessed by
// the system's tables would differ between machines.
func kind(name string) (mediaType string, compress bool, err error) {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8", true, nil
	case ".js":
		return "text/javascript; charset=utf-8", true, nil
	case ".png":
		return "image/png", false, nil
	}
	return "", false, fmt.Errorf("naming the type of %s: unknown ending", name)
}

func compressed(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() >= len(data) {
		return nil, nil
	}
	return b.Bytes(), nil
}
