package setup

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/durable"
)

// anchorName is on the pages from which phones install the root.
const anchorName = "Root of the mail server"

// render writes the settings as YAML, with comments, in the order of the questions.
func (d *dialogue) render(value func(question) string) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	put(root, question{key: "data", comment: "Database, CA, TLS certificate."}, d.Data)
	for _, q := range d.asked {
		if text := value(q); text != "" && q.key != caKind {
			put(root, q, text)
		}
	}
	if d.passphraseSetting() != "" {
		put(root, question{key: "ca.passphrase_file", comment: "Of the CA's keys. Keep a copy elsewhere: without it the CA is lost."}, d.passphraseSetting())
	}
	var b bytes.Buffer
	b.WriteString("# Settings of certportal, written by certportal setup. certportal config example\n# prints all settings with their meaning.\n\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("writing settings: %w", err)
	}
	return b.Bytes(), nil
}

// passphraseSetting is the file that the settings name: with a service, systemd hands the
// passphrase to it instead. While questions are asked the file is not there yet.
func (d *dialogue) passphraseSetting() string {
	if d.Service != nil || !d.wrote {
		return ""
	}
	return d.passphraseFile()
}

func (d *dialogue) passphraseFile() string { return d.beside("ca-passphrase") }

// beside is a file in the folder of the settings.
func (d *dialogue) beside(name string) string {
	return filepath.Join(filepath.Dir(d.Settings), name)
}

// put sets a dotted key; sections are made on the way.
func put(root *yaml.Node, q question, text string) {
	at := root
	parts := strings.Split(q.key, ".")
	for _, part := range parts[:len(parts)-1] {
		at = section(at, part)
	}
	value := &yaml.Node{}
	switch {
	case q.number:
		value.Kind, value.Value = yaml.ScalarNode, text
	case q.key == anchors:
		one := &yaml.Node{Kind: yaml.MappingNode}
		put(one, question{key: "name"}, anchorName)
		put(one, question{key: "file"}, text)
		value.Kind, value.Content = yaml.SequenceNode, []*yaml.Node{one}
	case q.list:
		value.Kind, value.Style = yaml.SequenceNode, yaml.FlowStyle
		for _, entry := range q.entries(text) {
			var one yaml.Node
			one.SetString(entry)
			one.Style = yaml.SingleQuotedStyle
			value.Content = append(value.Content, &one)
		}
	default:
		value.SetString(text)
	}
	key := &yaml.Node{HeadComment: q.comment}
	key.SetString(parts[len(parts)-1])
	at.Content = append(at.Content, key, value)
}

func section(at *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(at.Content); i += 2 {
		if at.Content[i].Value == name {
			return at.Content[i+1]
		}
	}
	key, value := &yaml.Node{}, &yaml.Node{Kind: yaml.MappingNode}
	key.SetString(name)
	at.Content = append(at.Content, key, value)
	return value
}

// write makes all files and prints the next step.
func (d *dialogue) write() error {
	if err := os.MkdirAll(filepath.Dir(d.Settings), 0o755); err != nil {
		return fmt.Errorf("making the folder of the settings: %w", err)
	}
	if err := d.makeData(); err != nil {
		return err
	}
	if err := d.writePassphrase(); err != nil {
		return err
	}
	files, err := d.writeSecrets()
	if err != nil {
		return err
	}
	d.wrote = true
	text, err := d.render(func(q question) string {
		if moved, ok := files[q.key]; ok {
			return moved
		}
		return d.answers[q.key]
	})
	if err != nil {
		return err
	}
	if err := os.Rename(d.Settings, d.old()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keeping the earlier settings: %w", err)
	}
	if err := durable.Replace(d.Settings, text, 0o644); err != nil {
		return fmt.Errorf("writing settings: %w", err)
	}
	if err := d.writeDropIn(); err != nil {
		return err
	}
	return d.nextStep()
}

// makeData makes the data folder for the account of the service.
func (d *dialogue) makeData() error {
	if err := os.MkdirAll(d.Data, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	if info, err := os.Lstat(d.Data); err != nil || !info.IsDir() && d.Service != nil {
		return errors.Join(fmt.Errorf("the data folder %s is a link: name the folder itself", d.Data), err)
	}
	return d.own(d.Data)
}

// own gives a file to the account of the service, and never what a link points to: root runs
// setup, and the account may have made the link.
func (d *dialogue) own(file string) error {
	if d.Service == nil {
		return nil
	}
	if err := os.Lchown(file, d.Service.UID, d.Service.GID); err != nil {
		return fmt.Errorf("giving %s to %s: %w", file, d.Service.Account, err)
	}
	return nil
}

// writePassphrase makes a passphrase where there is none. With a service the file is
// root's: systemd reads it.
func (d *dialogue) writePassphrase() error {
	_, err := config.ReadSecret(d.passphraseFile())
	if errors.Is(err, fs.ErrNotExist) {
		return config.WriteSecret(d.passphraseFile(), []byte(rand.Text()))
	}
	return err
}

// writeSecrets puts the passwords that were typed beside the settings.
func (d *dialogue) writeSecrets() (map[string]string, error) {
	files := map[string]string{}
	for _, q := range d.asked {
		draft := d.answers[q.key]
		if q.secret == "" || filepath.Dir(draft) != d.drafts {
			continue // named by the command line
		}
		secret, err := os.ReadFile(draft)
		if err != nil {
			return nil, fmt.Errorf("reading a password again: %w", err)
		}
		file := d.beside(q.secret)
		if err := durable.Replace(file, secret, 0o600); err != nil {
			return nil, fmt.Errorf("writing %s: %w", file, err)
		}
		if err := d.own(file); err != nil {
			return nil, err
		}
		files[q.key] = file
	}
	return files, nil
}

// writeDropIn tells systemd of the passphrase, and of ports below 1024.
func (d *dialogue) writeDropIn() error {
	if d.Service == nil {
		return nil
	}
	text := "# Written by certportal setup.\n[Service]\nLoadCredential=ca-passphrase:" + d.passphraseFile() + "\n"
	if low(d.answers["listen"]) || low(d.answers["listen_http"]) {
		text += "# Ports below 1024.\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nPrivateUsers=false\n"
	}
	if err := os.MkdirAll(filepath.Dir(d.Service.DropIn), 0o755); err != nil {
		return fmt.Errorf("making the folder of the drop-in: %w", err)
	}
	if err := durable.Replace(d.Service.DropIn, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing the drop-in: %w", err)
	}
	return nil
}

// low reports whether only root, or who has the capability, may listen there.
func low(address string) bool {
	_, port, err := net.SplitHostPort(address)
	n, bad := strconv.Atoi(port)
	return err == nil && bad == nil && n > 0 && n < 1024
}
