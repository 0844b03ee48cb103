"""What an operator watches, and what tells what is wrong."""
