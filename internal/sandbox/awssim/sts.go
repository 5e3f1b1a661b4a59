package awssim

func (s *Sim) stsActions() map[string]handler {
	return map[string]handler{"GetCallerIdentity": s.getCallerIdentity}
}

type callerIdentity struct {
	Arn     string
	UserId  string //nolint:revive // the name on the wire
	Account string
}

func (s *Sim) getCallerIdentity(r *request) (any, error) {
	return callerIdentity{s.userARN(r.accessKey), r.accessKey, s.cfg.AccountID}, nil
}
