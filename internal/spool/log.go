package spool

// Log is the name of the log to which the spool belongs.
func (s *Spool) Log() string { return s.opts.Log }
