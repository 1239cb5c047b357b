package config

import (
	"strings"
	"testing"
	"time"
)

func TestBackupSettings(t *testing.T) {
	const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	for _, tt := range []struct{ name, text, want string }{
		{"no key", "backup: {folder: /var/backups}", "passphrase_file or recipients"},
		{"two keys", "backup: {folder: /var/backups, passphrase_file: p, recipients: [" + recipient + "]}", "not both"},
		{"all the time", "backup: {every: 1m}", "backup.every"},
		{"none stays", "backup: {keep: 0}", "backup.keep"},
		{"no public key", "backup: {recipients: [age1nonsense]}", "backup.recipients"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, tt.text, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want one that names %s", err, tt.want)
			}
		})
	}
	s, err := load(t, "backup: {folder: /var/backups, recipients: ["+recipient+"], keep: 3}", nil)
	if err != nil || s.Backup.Every != 24*time.Hour || s.Backup.Keep != 3 {
		t.Errorf("got %+v, %v", s.Backup, err)
	}
}
