package config

// AdminSettings bound what one administrator may do alone.
type AdminSettings struct {
	// Certificates one administrator may revoke within an hour, one by one or at once.
	// More wait until another administrator agrees, for a day at most.
	SecondPerson int `yaml:"second_person"`
}

func (s *Settings) checkAdmin() error {
	if n := s.Admin.SecondPerson; n < 1 || n > 1_000_000 {
		return mistake("admin.second_person", n, "choose 1 to 1000000")
	}
	return nil
}
