"""Judge fitted exponents and bracketed edges against claims."""
